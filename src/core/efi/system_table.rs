// SPDX-License-Identifier: Apache-2.0
//! The system table of UEFI (UEFI 2.10, 4.3), and the tables that it names (4.6), as a kernel hands
//! them on to the next one.
//!
//! It is firmware's, and may be malformed. Its checksum is not looked at: a kernel changes it when
//! boot services end.

use super::memory_map::MemoryMap;
use super::memory_reserve::{self, ReserveError};
use crate::acpi::Physical;
use crate::little_endian::{bytes_at, u32_at, u64_at};
use crate::memory::region::RegionSet;
use thiserror::Error;

/// `IBI SYST`.
const SIGNATURE: [u8; 8] = *b"IBI SYST";
/// Bytes of the table, on a machine of 64 bits.
const SIZE: usize = 120;
/// Offsets in it.
const ENTRIES: usize = 104;
const CONFIGURATION: usize = 112;

/// Bytes of an entry: a GUID, and an address.
const ENTRY: usize = 24;
const ADDRESS: usize = 16;
/// The most entries that are looked at. A server has some twenty.
const MAX_ENTRIES: u32 = 1024;

/// `EFI_ACPI_20_TABLE_GUID`, 8868e871-e4f1-11d3-bc22-0080c73c8881 (4.6.1).
pub const ACPI_20: [u8; 16] = [
    0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4, 0xd3, 0x11, 0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81,
];
/// `LINUX_EFI_MEMRESERVE_TABLE_GUID`, 888eb0c6-8ede-4ff5-a8f0-9aee5cb977c2 (Linux's efi.h).
pub const MEMORY_RESERVE: [u8; 16] = [
    0xc6, 0xb0, 0x8e, 0x88, 0xde, 0x8e, 0xf5, 0x4f, 0xa8, 0xf0, 0x9a, 0xee, 0x5c, 0xb9, 0x77, 0xc2,
];

/// Why there is no system table.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SystemTableError {
    /// It is not where it was said to be.
    #[error("no UEFI system table at {0:#x}")]
    None(u64),
    /// Its configuration tables cannot be read.
    #[error("UEFI system table: {count} configuration tables at {address:#x} cannot be read")]
    Configuration {
        /// How many there are.
        count: u32,
        /// Where they are.
        address: u64,
    },
    /// What Linux has reserved for ever is not known.
    #[error(transparent)]
    Reserved(#[from] ReserveError),
}

/// The configuration tables that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemTable {
    /// Where ACPI 2.0 has its RSDP.
    pub rsdp: Option<u64>,
    /// Where the list begins of what Linux has reserved for all kernels.
    pub memory_reserve: Option<u64>,
}

impl SystemTable {
    /// Reads the table at physical address `at`; `map` tells where firmware's own addresses are.
    ///
    /// # Errors
    ///
    /// [`SystemTableError`] if it cannot be read, or is none.
    pub fn read(
        memory: &impl Physical,
        at: u64,
        map: &MemoryMap<'_>,
    ) -> Result<Self, SystemTableError> {
        let table = memory.bytes(at, SIZE).unwrap_or_default();
        let shape = (|| {
            (bytes_at(table, 0)? == SIGNATURE).then_some(())?;
            Some((u32_at(table, ENTRIES)?, u64_at(table, CONFIGURATION)?))
        })();
        let (count, address) = shape.ok_or(SystemTableError::None(at))?;
        let entries = match count {
            0 => Some(&[][..]),
            1..=MAX_ENTRIES => memory.bytes(map.physical(address), count as usize * ENTRY),
            _ => None,
        };
        let entries = entries.ok_or(SystemTableError::Configuration { count, address })?;
        let find = |guid: [u8; 16]| {
            let mut entries = entries.chunks_exact(ENTRY);
            let entry = entries.find(|entry| bytes_at(entry, 0) == Some(guid))?;
            u64_at(entry, ADDRESS)
        };
        Ok(Self {
            rsdp: find(ACPI_20),
            memory_reserve: find(MEMORY_RESERVE),
        })
    }

    /// Returns what Linux has reserved for all kernels.
    ///
    /// # Errors
    ///
    /// [`SystemTableError::Reserved`] if the list of it cannot be read.
    pub fn reserved(&self, memory: &impl Physical) -> Result<RegionSet, SystemTableError> {
        match self.memory_reserve {
            Some(first) => Ok(memory_reserve::read(memory, first)?),
            None => Ok(RegionSet::new()),
        }
    }
}

#[cfg(test)]
mod tests;
