// SPDX-License-Identifier: Apache-2.0
//! Finds what the monitor was given to run: the modules below `/chosen`, or a kernel behind its own
//! image.
//!
//! The nodes are those of Xen (`docs/misc/arm/device-tree/booting.txt`). QEMU's `guest-loader` and
//! scripts of U-Boot write them. A loader that cannot, as one with an extlinux.conf, loads the
//! monitor and a kernel behind it as one file; then `/chosen` has what a loader of Linux puts
//! there.

use super::chosen;
use super::error::BoardError;
use super::node::{Located, big_endian, bytes, first_compatible, is_available, text};
use crate::memory::region::{Region, RegionError};
use alloc::string::{String, ToString};
use dtoolkit::Node;
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;

const MODULE: [&str; 3] = ["multiboot,module", "xen,linux-zimage", "xen,linux-initrd"];
const KERNEL: [&str; 2] = ["multiboot,kernel", "xen,linux-zimage"];
const RAMDISK: [&str; 2] = ["multiboot,ramdisk", "xen,linux-initrd"];

/// The guest's files as they were loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modules {
    /// Where the kernel's file lies.
    pub kernel: Region,
    /// The guest's command line.
    pub bootargs: Option<String>,
    /// Where the initial ramdisk lies.
    pub ramdisk: Option<Region>,
    /// The kernel was loaded in one file with the monitor, and shares the command line of `/chosen`
    /// with it.
    pub appended: bool,
}

/// Returns whether a child of `/chosen` is a module.
pub(super) fn is_module<N: Node>(node: &N) -> bool {
    [&MODULE[..], &KERNEL[..], &RAMDISK[..]]
        .into_iter()
        .flatten()
        .any(|name| node.is_compatible(name))
}

/// Reads the modules. One that does not say what it is, is taken for the kernel if there is none
/// yet, else for the ramdisk if there is none yet, else it is ignored. If no module is a kernel,
/// `appended` is it.
pub(crate) fn read(fdt: Fdt<'_>, appended: Option<Region>) -> Result<Modules, BoardError> {
    let chosen = Located::find(fdt, "/chosen").ok_or(BoardError::NoKernel)?;
    let mut found = Found::default();
    let modules = || {
        chosen
            .children()
            .filter(|m| is_module(&m.node) && is_available(&m.node))
    };
    for module in modules() {
        if is_kernel(&module.node) {
            found.set_kernel(module)?;
        } else if is_ramdisk(&module.node) {
            found.set_ramdisk(module)?;
        }
    }
    for module in modules().filter(|m| !is_kernel(&m.node) && !is_ramdisk(&m.node)) {
        if found.kernel.is_none() {
            found.set_kernel(module)?;
        } else if found.ramdisk.is_none() {
            found.set_ramdisk(module)?;
        }
    }
    let ramdisk = found
        .ramdisk
        .map(|ramdisk| region(&chosen.node, &ramdisk))
        .transpose()?;
    match (found.kernel, appended) {
        (Some(kernel), _) => Ok(Modules {
            kernel: region(&chosen.node, &kernel)?,
            bootargs: bootargs(&kernel)?,
            ramdisk,
            appended: false,
        }),
        (None, Some(kernel)) => Ok(Modules {
            kernel,
            bootargs: Some(chosen::bootargs(fdt)?),
            ramdisk: ramdisk.or_else(|| linux_initrd(&chosen.node)),
            appended: true,
        }),
        (None, None) => Err(BoardError::NoKernel),
    }
}

/// Returns the ramdisk that a loader of Linux names. As in Linux, an empty one is none.
fn linux_initrd(chosen: &FdtNode<'_>) -> Option<Region> {
    let bound = |name| big_endian(bytes(chosen, name));
    Region::from_bounds(bound("linux,initrd-start")?, bound("linux,initrd-end")?).ok()
}

/// The modules found so far.
#[derive(Default)]
struct Found<'a> {
    kernel: Option<Located<'a>>,
    ramdisk: Option<Located<'a>>,
}

impl<'a> Found<'a> {
    fn set_kernel(&mut self, module: Located<'a>) -> Result<(), BoardError> {
        let second = module.path();
        match self.kernel.replace(module) {
            None => Ok(()),
            Some(first) => Err(BoardError::SecondKernel {
                first: first.path(),
                second,
            }),
        }
    }

    fn set_ramdisk(&mut self, module: Located<'a>) -> Result<(), BoardError> {
        let second = module.path();
        match self.ramdisk.replace(module) {
            None => Ok(()),
            Some(first) => Err(BoardError::SecondRamdisk {
                first: first.path(),
                second,
            }),
        }
    }
}

fn is_kernel(node: &FdtNode<'_>) -> bool {
    first_compatible(node, &KERNEL).is_some()
}

fn is_ramdisk(node: &FdtNode<'_>) -> bool {
    first_compatible(node, &RAMDISK).is_some()
}

fn bootargs(kernel: &Located<'_>) -> Result<Option<String>, BoardError> {
    if kernel.node.property("bootargs").is_none() {
        return Ok(None);
    }
    match text(&kernel.node, "bootargs") {
        Some(bootargs) => Ok(Some(bootargs.to_string())),
        None => Err(BoardError::Text {
            node: kernel.path(),
            property: "bootargs",
        }),
    }
}

/// Reads a module's `reg`. QEMU writes two 64-bit numbers whatever the cells of `/chosen` are, so
/// where the length of the property leaves no choice, it decides.
fn region(chosen: &FdtNode<'_>, module: &Located<'_>) -> Result<Region, BoardError> {
    let reg = bytes(&module.node, "reg");
    let split = match reg.len() {
        8 => 4,
        12 if chosen.address_cells() == Ok(1) => 4,
        12 | 16 => 8,
        length => {
            return Err(BoardError::ModuleReg {
                node: module.path(),
                length,
            });
        }
    };
    let (start, size) = reg.split_at_checked(split).unwrap_or_default();
    let (start, size) = (
        big_endian(start).unwrap_or(0),
        big_endian(size).unwrap_or(0),
    );
    Region::new(start, size).map_err(|error| match error {
        RegionError::Empty(start) => BoardError::ModuleEmpty {
            node: module.path(),
            start,
        },
        RegionError::Wraps { start, size } => BoardError::ModuleWraps {
            node: module.path(),
            start,
            size,
        },
    })
}

#[cfg(test)]
mod tests;
