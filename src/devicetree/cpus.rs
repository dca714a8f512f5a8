//! The CPUs of the board, from `/cpus`.

use super::board::BoardError;
use super::node::{Located, big_endian, bytes, cell, text};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use dtoolkit::Node;
use dtoolkit::fdt::Fdt;

/// The affinity fields of `MPIDR_EL1`, Aff3 in bits 39:32 and Aff2 to Aff0 in bits 23:0.
pub const MPIDR_AFFINITY: u64 = 0xff_00ff_ffff;

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
    /// By an address written to `release`, and SEV.
    SpinTable {
        /// Physical address of the 64-bit word that the CPU polls.
        release: u64,
    },
    /// By another method, or none is given; it is called as the tree calls it.
    Other(Option<String>),
}

/// Reads the CPUs in the order of the tree, which is the order that Linux numbers them in.
///
/// As in Linux on arm64, a CPU is left out if its `status` is `"fail"` or `"fail-…"` only: of a
/// secondary CPU, `"disabled"` means that it is waiting to be started (Devicetree Specification
/// v0.4, 3.8.1).
pub(super) fn read(fdt: Fdt<'_>) -> Result<Vec<Cpu>, BoardError> {
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
        .filter(|mpidr| mpidr & !MPIDR_AFFINITY == 0)
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
