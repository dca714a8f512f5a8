// SPDX-License-Identifier: Apache-2.0
//! The CPUs, from the MADT.

use super::error::AcpiError;
use super::madt;
use crate::devicetree::cpus::{Cpu, EnableMethod};
use crate::mpidr::AFFINITY;
use alloc::vec::Vec;

/// Reads the CPUs in the order of the MADT, which is the order that Linux numbers them in, but for
/// the one that it boots on. One that is neither enabled nor can be brought in is left out.
///
/// # Errors
///
/// [`AcpiError`] for an entry that is broken, a CPU that cannot be told from another one, or if there
/// is none.
pub fn read(table: &[u8]) -> Result<Vec<Cpu>, AcpiError> {
    let mut cpus = Vec::new();
    for gicc in madt::cpus(table) {
        let mpidr = gicc?.mpidr;
        if mpidr & !AFFINITY != 0 {
            return Err(AcpiError::Mpidr { mpidr });
        }
        cpus.push(Cpu {
            mpidr,
            enable_method: EnableMethod::Psci,
        });
    }
    let mut mpidrs: Vec<_> = cpus.iter().map(|cpu| cpu.mpidr).collect();
    mpidrs.sort_unstable();
    let twice = mpidrs
        .iter()
        .zip(mpidrs.iter().skip(1))
        .find(|(a, b)| a == b);
    match twice {
        Some((&mpidr, _)) => Err(AcpiError::SecondCpu { mpidr }),
        None if cpus.is_empty() => Err(AcpiError::NoCpus),
        None => Ok(cpus),
    }
}

/// Returns why a machine without PSCI cannot be served.
pub fn without_psci(table: &[u8]) -> AcpiError {
    let parked = madt::cpus(table)
        .filter_map(Result::ok)
        .find(|gicc| gicc.parked != 0);
    match parked {
        Some(gicc) => AcpiError::ParkingProtocol { mpidr: gicc.mpidr },
        None => AcpiError::NoPsci,
    }
}

#[cfg(test)]
mod tests;
