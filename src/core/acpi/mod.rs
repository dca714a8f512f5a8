// SPDX-License-Identifier: Apache-2.0
//! The board as firmware's ACPI tables describe it: CPUs, PSCI, interrupt controller, console.
//!
//! References are to the ACPI Specification, version 6.5. Memory is not in these tables: UEFI's map
//! has it ([`crate::efi::memory_map`]).
//!
//! Tables come from firmware, and may be malformed. They are copied nowhere: what is read is checked
//! for its bounds when it is read.
#![forbid(unsafe_code)]

mod aml;
pub mod console;
mod cpus;
pub mod error;
mod fadt;
mod gic;
mod iort;
mod madt;
mod mcfg;
mod root;
#[cfg(any(test, fuzzing))]
pub mod sample;
mod signature;
mod srat;
mod table;

pub use error::AcpiError;
pub use root::{Tables, find_table};
pub use signature::Signature;
pub use table::sum;

use crate::hardware::{Dma, Hardware};
use crate::memory::region::RegionSet;

/// Physical memory, as the caller can read it.
pub trait Physical {
    /// Returns the `length` bytes from the physical address `address` on; `None` if they cannot be
    /// read.
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]>;
}

/// Reads the board.
///
/// # Errors
///
/// [`AcpiError`] for the first thing that is missing or unusable.
pub fn hardware(tables: &Tables<'_>) -> Result<Hardware, AcpiError> {
    let psci = fadt::psci(tables.fadt)?.ok_or_else(|| cpus::without_psci(tables.madt))?;
    Ok(Hardware {
        cpus: cpus::read(tables.madt)?,
        psci: Some(psci),
        gic: gic::read(tables.madt)?,
        devices: tables.devices,
        // Only AML could say (`aml.rs`).
        external_debug: RegionSet::new(),
        counter_frequency: None,
        console: console::find(tables).ok(),
        dma: dma(tables),
    })
}

fn dma(tables: &Tables<'_>) -> Dma {
    let mut dma = Dma::default();
    if let Some(table) = tables.mcfg {
        mcfg::add(table, &mut dma);
    }
    if let Some(table) = tables.iort {
        iort::add(table, &mut dma);
    }
    dma
}

#[cfg(test)]
mod tests;
