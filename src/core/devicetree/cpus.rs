// SPDX-License-Identifier: Apache-2.0
//! Reads the CPUs of the board from `/cpus`, and what other nodes say of them.

use super::error::BoardError;
use super::node::{Located, big_endian, bytes, cell, is_available, text};
use crate::mpidr::AFFINITY;
use crate::words::split;
use alloc::string::String;
use alloc::vec::Vec;
use core::str;
use dtoolkit::Node;
use dtoolkit::fdt::Fdt;
use thiserror::Error;

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
    /// It cannot be started, for this reason. It may run already, as the boot CPU.
    Other(Unusable),
}

/// Why a CPU cannot be started. Linux does without it as well (`arch/arm64/kernel/cpu_ops.c`).
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unusable {
    /// The tree does not say how.
    #[error("it has no enable-method")]
    NoMethod,
    /// By a method that is not known.
    #[error("its enable-method {0:?} is not known")]
    Unknown(String),
    /// By PSCI, which the board does not have.
    #[error("its enable-method is \"psci\", and no available node is compatible with \"arm,psci\"")]
    NoPsci,
    /// By a spin table that is nowhere.
    #[error("its spin table has no cpu-release-addr")]
    NoReleaseAddr,
    /// By a spin table at an address that no 64-bit word has.
    #[error("its cpu-release-addr {0:#x} is not the address of a 64-bit word")]
    ReleaseAddr(u64),
}

/// Bytes of the word that a CPU of a spin table polls.
const RELEASE_SIZE: u64 = size_of::<u64>() as u64;

/// Devices of the CPUs that the tree, or ACPI, tells of. No ID register tells of the first three; one tells of
/// the last, but not whether firmware traps it (`MDCR_EL3.TTRF`), while the tree names only what a kernel may
/// use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Devices {
    /// Their clusters have PMUs (`arm,dsu-pmu`), whose registers are IMPLEMENTATION DEFINED.
    pub dsu_pmu: bool,
    /// Firmware has opened those to a kernel for certain.
    pub dsu_pmu_is_open: bool,
    /// They have other IMPLEMENTATION DEFINED registers that drivers of Linux use.
    pub implementer: bool,
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
                "arm,dsu-pmu" => {
                    devices.dsu_pmu |= is_available(node);
                    devices.dsu_pmu_is_open |= is_available(node);
                }
                // L2CPUSRSELR_EL1 (kryo-l2-accessors.c), NVFREQ_REQ_EL1 (tegra194-cpufreq.c).
                "qcom,msm8996-apcc" | "nvidia,tegra194-ccplex" => {
                    devices.implementer |= is_available(node);
                }
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
/// Returns [`BoardError`] for the first CPU that cannot be told from another one.
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
            enable_method: enable_method(&cpu),
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

/// Returns whether a kernel would start the node `name` below `/cpus` from a spin table; `property` returns
/// the values of its properties.
pub(super) fn waits_in_spin_table<'a>(
    name: &[u8],
    property: impl Fn(&str) -> Option<&'a [u8]>,
) -> bool {
    let text = |name| property(name).map(|value| split(value, 0).0);
    let is_cpu = split(name, b'@').0 == b"cpu" || text("device_type") == Some(b"cpu");
    let has_failed = || {
        let status = text("status").and_then(|status| str::from_utf8(status).ok());
        status.is_some_and(is_failure)
    };
    let release = || property("cpu-release-addr").and_then(big_endian);
    is_cpu
        && text("enable-method") == Some(b"spin-table")
        && !has_failed()
        && release().is_some_and(is_release)
}

fn is_cpu(cpu: &Located<'_>) -> bool {
    cpu.node.name_without_address() == "cpu" || text(&cpu.node, "device_type") == Some("cpu")
}

fn has_failed(cpu: &Located<'_>) -> bool {
    text(&cpu.node, "status").is_some_and(is_failure)
}

/// Returns whether a node's `status` says that it does not work.
pub(super) fn is_failure(status: &str) -> bool {
    status == "fail" || status.starts_with("fail-")
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

fn enable_method(cpu: &Located<'_>) -> EnableMethod {
    let other = match text(&cpu.node, "enable-method") {
        Some("psci") => return EnableMethod::Psci,
        Some("spin-table") => match cell(&cpu.node, "cpu-release-addr") {
            Some(release) if is_release(release) => return EnableMethod::SpinTable { release },
            Some(release) => Unusable::ReleaseAddr(release),
            None => Unusable::NoReleaseAddr,
        },
        Some(other) => Unusable::Unknown(other.into()),
        None => Unusable::NoMethod,
    };
    EnableMethod::Other(other)
}

/// Returns whether a CPU can poll the word at this address.
const fn is_release(address: u64) -> bool {
    address != 0 && address.is_multiple_of(RELEASE_SIZE)
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
        let method = |tree: &Sample| {
            let cpus = tree.read(read).expect("CPUs");
            cpus[1].enable_method.clone()
        };
        let other = EnableMethod::Other;
        assert_eq!(method(&tree), EnableMethod::Psci);
        tree.set("/cpus/cpu@1", "enable-method", "spin-table");
        assert_eq!(method(&tree), other(Unusable::NoReleaseAddr));
        for addr in [wide(&[0xd8]), cells(&[0xd8])] {
            tree.set("/cpus/cpu@1", "cpu-release-addr", addr);
            assert_eq!(method(&tree), EnableMethod::SpinTable { release: 0xd8 });
        }
        for release in [0, 0xdc] {
            tree.set("/cpus/cpu@1", "cpu-release-addr", wide(&[release]));
            assert_eq!(method(&tree), other(Unusable::ReleaseAddr(release)));
        }
        tree.set("/cpus/cpu@1", "enable-method", "brcm,bcm2836-smp");
        let unknown = Unusable::Unknown("brcm,bcm2836-smp".into());
        assert_eq!(method(&tree), other(unknown));
        tree.unset("/cpus/cpu@1", "enable-method");
        assert_eq!(method(&tree), other(Unusable::NoMethod));
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
