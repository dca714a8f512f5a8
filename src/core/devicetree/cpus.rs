// SPDX-License-Identifier: Apache-2.0
//! Reads the CPUs of the board from `/cpus`, and what other nodes say of them.

use super::error::BoardError;
use super::node::{Located, big_endian, bytes, cell, is_available, text};
use crate::mpidr::AFFINITY;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use dtoolkit::Node;
use dtoolkit::fdt::Fdt;

/// One CPU of the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// The affinity fields of its `MPIDR_EL1`.
    pub mpidr: u64,
    /// How it is started.
    pub enable_method: EnableMethod,
}

/// How a CPU is started (`enable-method`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnableMethod {
    /// By PSCI `CPU_ON`.
    Psci,
    /// It polls the word at `release` for the address to begin at; an event wakes it.
    SpinTable {
        /// Physical address of the 64-bit word that the CPU polls.
        release: u64,
    },
    /// By another method, with its name in the tree, or by none.
    Other(Option<String>),
}

/// Devices of the CPUs that the tree tells of. No ID register tells of the first; one tells of the
/// second, but not whether firmware traps it (`MDCR_EL3.TTRF`), while the tree names only what a
/// kernel may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// Their clusters have PMUs (`arm,dsu-pmu`), whose registers are IMPLEMENTATION DEFINED.
    pub dsu_pmu: bool,
    /// They have trace units, whose filter is `TRFCR_EL1`.
    pub trace: bool,
}

/// Searches the whole tree for [`Devices`].
pub fn devices(fdt: Fdt<'_>) -> Devices {
    let mut devices = Devices::default();
    // One search for all of them: it finds nothing, and so goes through the whole tree.
    Located::search(fdt, |node| {
        for name in node.compatible().into_iter().flatten() {
            match name {
                "arm,dsu-pmu" => devices.dsu_pmu |= is_available(node),
                // Trace units with system registers, and the buffers that they write to.
                "arm,embedded-trace-extension"
                | "arm,trace-buffer-extension"
                | "arm,coresight-etm4x-sysreg" => devices.trace |= is_available(node),
                _ => {}
            }
        }
        false
    });
    devices
}

/// Reads the CPUs in the order of the tree, which is the order that Linux numbers them in.
///
/// As in Linux on arm64, a CPU is left out only if its `status` is `"fail"` or `"fail-…"`: the
/// status `"disabled"` of a secondary CPU means that it waits to be started (Devicetree
/// Specification v0.4, 3.8.1).
///
/// # Errors
///
/// Returns [`BoardError`] for the first CPU that cannot be told from another one, or cannot be
/// started.
pub fn read(fdt: Fdt<'_>) -> Result<Vec<Cpu>, BoardError> {
    let mut cpus: Vec<Cpu> = Vec::new();
    let parent = Located::find(fdt, "/cpus").ok_or(BoardError::NoCpus)?;
    for cpu in parent
        .children()
        .filter(is_cpu)
        .filter(|cpu| !has_failed(cpu))
    {
        let read = Cpu {
            mpidr: mpidr(&cpu)?,
            enable_method: enable_method(&cpu)?,
        };
        if cpus.iter().any(|other| other.mpidr == read.mpidr) {
            return Err(BoardError::SecondCpu {
                node: cpu.path(),
                mpidr: read.mpidr,
            });
        }
        cpus.push(read);
    }
    if cpus.is_empty() {
        Err(BoardError::NoCpus)
    } else {
        Ok(cpus)
    }
}

fn is_cpu(cpu: &Located<'_>) -> bool {
    cpu.node.name_without_address() == "cpu" || text(&cpu.node, "device_type") == Some("cpu")
}

fn has_failed(cpu: &Located<'_>) -> bool {
    text(&cpu.node, "status").is_some_and(|s| s == "fail" || s.starts_with("fail-"))
}

fn mpidr(cpu: &Located<'_>) -> Result<u64, BoardError> {
    let bytes = bytes(&cpu.node, "reg");
    big_endian(bytes)
        .filter(|mpidr| mpidr & !AFFINITY == 0)
        .ok_or_else(|| BoardError::CpuReg {
            node: cpu.path(),
            reg: bytes.iter().take(16).copied().collect(),
        })
}

fn enable_method(cpu: &Located<'_>) -> Result<EnableMethod, BoardError> {
    match text(&cpu.node, "enable-method") {
        Some("psci") => Ok(EnableMethod::Psci),
        Some("spin-table") => {
            let release = cell(&cpu.node, "cpu-release-addr");
            let release = release.ok_or_else(|| BoardError::CpuReleaseAddr { node: cpu.path() })?;
            Ok(EnableMethod::SpinTable { release })
        }
        other => Ok(EnableMethod::Other(other.map(ToString::to_string))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devicetree::sample::{Sample, cells, wide};

    fn mpidrs(tree: &Sample) -> Vec<u64> {
        let cpus = tree.read(read).expect("CPUs");
        cpus.into_iter().map(|cpu| cpu.mpidr).collect()
    }

    #[test]
    fn keeps_the_order_of_the_tree() {
        let mut tree = Sample::virt();
        assert_eq!(mpidrs(&tree), [0, 1]);
        tree.set("/cpus/cpu@0", "reg", 0x80_0103u32);
        assert_eq!(mpidrs(&tree), [0x80_0103, 1]);
    }

    #[test]
    fn reads_two_cells() {
        let mut tree = Sample::virt();
        tree.set("/cpus", "#address-cells", 2u32);
        tree.set("/cpus/cpu@0", "reg", wide(&[0x12_0081_0300]));
        tree.set("/cpus/cpu@1", "reg", wide(&[1]));
        assert_eq!(mpidrs(&tree), [0x12_0081_0300, 1]);
    }

    #[test]
    fn leaves_out_failed_cpus_and_other_nodes_only() {
        let mut tree = Sample::virt();
        tree.set("/cpus/cpu-map/cluster0", "cpu", 1u32);
        tree.set("/cpus/cpu@1", "status", "disabled");
        assert_eq!(mpidrs(&tree), [0, 1], "a disabled CPU waits to be started");
        for status in ["fail", "fail-sss"] {
            tree.set("/cpus/cpu@1", "status", status);
            assert_eq!(mpidrs(&tree), [0], "status {status:?}");
        }
    }

    #[test]
    fn reads_every_enable_method() {
        let mut tree = Sample::virt();
        let method = |tree: &Sample| tree.read(read).map(|cpus| cpus[1].enable_method.clone());
        assert_eq!(method(&tree), Ok(EnableMethod::Psci));
        tree.set("/cpus/cpu@1", "enable-method", "spin-table");
        let node = String::from("/cpus/cpu@1");
        assert_eq!(method(&tree), Err(BoardError::CpuReleaseAddr { node }));
        for addr in [wide(&[0xd8]), cells(&[0xd8])] {
            tree.set("/cpus/cpu@1", "cpu-release-addr", addr);
            assert_eq!(method(&tree), Ok(EnableMethod::SpinTable { release: 0xd8 }));
        }
        tree.set("/cpus/cpu@1", "enable-method", "brcm,bcm2836-smp");
        assert_eq!(
            method(&tree),
            Ok(EnableMethod::Other(Some("brcm,bcm2836-smp".into())))
        );
        tree.unset("/cpus/cpu@1", "enable-method");
        assert_eq!(method(&tree), Ok(EnableMethod::Other(None)));
    }

    #[test]
    fn refuses_bad_cpus() {
        let mut tree = Sample::virt();
        let node = String::from("/cpus/cpu@1");
        for reg in [
            cells(&[0x8000_0001]),
            wide(&[1 << 40]),
            cells(&[1, 2, 3]),
            alloc::vec![1],
        ] {
            tree.set(&node, "reg", reg.clone());
            let expected = BoardError::CpuReg {
                node: node.clone(),
                reg,
            };
            assert_eq!(tree.read(read), Err(expected));
        }
        tree.set(&node, "reg", 0u32);
        assert_eq!(
            tree.read(read),
            Err(BoardError::SecondCpu {
                node: node.clone(),
                mpidr: 0
            })
        );
        tree.unset(&node, "reg");
        assert_eq!(
            tree.read(read),
            Err(BoardError::CpuReg {
                node,
                reg: Vec::new()
            })
        );
        tree.remove("/cpus/cpu@0").remove("/cpus/cpu@1");
        assert_eq!(tree.read(read), Err(BoardError::NoCpus), "an empty /cpus");
        tree.remove("/cpus");
        assert_eq!(tree.read(read), Err(BoardError::NoCpus), "no /cpus");
    }
}
