// SPDX-License-Identifier: Apache-2.0
//! Memory as firmware maps it, with ACPI's tables in it.

use super::services::Services;
use baton_core::acpi::Physical;
use baton_core::efi::memory_map::MemoryMap;
use baton_core::efi::system_table::ACPI_20;
use baton_core::memory::region::RegionSet;
use core::slice;
use r_efi::efi::Guid;

/// What a memory map has, at its own address.
pub struct Mapped(RegionSet);

impl Mapped {
    /// Takes all memory of `map`, whatever it is used for.
    pub fn new(map: &MemoryMap) -> Self {
        Self(map.memory())
    }
}

impl Physical for Mapped {
    fn bytes(&self, address: u64, len: usize) -> Option<&[u8]> {
        let there = address != 0 && self.0.contains(address, len as u64);
        // SAFETY: Firmware maps all memory at its own address, and nobody writes these tables now.
        there.then(|| unsafe { slice::from_raw_parts(address as *const u8, len) })
    }
}

/// Returns the address of the RSDP of ACPI 2.0.
pub fn rsdp(services: &Services) -> Option<u64> {
    services.configuration_table(&Guid::from_bytes(&ACPI_20))
}
