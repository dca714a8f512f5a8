// SPDX-License-Identifier: Apache-2.0
//! The board as firmware's ACPI tables describe it: CPUs, PSCI, interrupt controller, console.
//!
//! References are to the ACPI Specification, version 6.5. Memory is not in these tables: UEFI's map
//! has it ([`crate::efi::memory_map`]).
//!
//! Tables come from firmware, and may be malformed. They are copied nowhere: what is read is checked
//! for its bounds when it is read.
#![forbid(unsafe_code)]

pub mod console;
mod cpus;
pub mod error;
mod fadt;
mod gic;
mod madt;
mod root;
#[cfg(any(test, fuzzing))]
pub mod sample;
mod signature;
mod table;

pub use error::AcpiError;
pub use root::{Tables, find_table};
pub use signature::Signature;

use crate::devicetree::console::Console;
use crate::devicetree::cpus::{Cpu, Devices};
use crate::devicetree::gic::Gic;
use crate::devicetree::psci::Psci;
use alloc::vec::Vec;

/// Physical memory, as the caller can read it.
pub trait Physical {
    /// Returns the `length` bytes from the physical address `address` on; `None` if they cannot be
    /// read.
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]>;
}

/// What the tables say of a board: all of it but its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// The CPUs, in the order of the MADT. All are started by PSCI.
    pub cpus: Vec<Cpu>,
    /// Firmware's PSCI.
    pub psci: Psci,
    /// The interrupt controller.
    pub gic: Gic,
    /// Devices of the CPUs: none. In ACPI they are in the AML of the DSDT, which nobody reads here.
    /// So the registers of a cluster's PMU stay as firmware left them (a kernel that drives one
    /// clears it when it begins), and whether firmware opened those of a trace unit is not known.
    pub devices: Devices,
    /// The UART of the console, if there is one that can be used; [`console::find`] says why not.
    pub console: Option<Console>,
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
        psci,
        gic: gic::read(tables.madt)?,
        devices: Devices::default(),
        console: console::find(tables).ok(),
    })
}

#[cfg(test)]
mod tests;
