// SPDX-License-Identifier: Apache-2.0
//! The memory that kernels under UEFI have reserved for their tables of LPIs until the machine is reset,
//! in a list that each hands on to the next (`linux_efi_memreserve`): LPIs are off at the boundary, and
//! nobody uses the tables any more.

use crate::arch::cache;
use crate::machine::Machine;
use crate::memory::guest_ram::GuestRam;
use baton_core::acpi::Physical;
use baton_core::efi::memory_map::MemoryMap;
use baton_core::efi::memory_reserve;
use baton_core::efi::system_table::SystemTable;
use baton_core::hw_error::HwError;

/// The guest's memory while nobody writes it.
struct Quiet<'a>(&'a GuestRam);

impl Physical for Quiet<'_> {
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
        let range = self.0.range(address, length as u64)?;
        // SAFETY: All vCPUs are in the monitor, in phase 2.
        Some(unsafe { range.bytes() })
    }
}

/// Empties the list, if there is one, and no redistributor uses its tables on. To be called by the boot
/// CPU in phase 2.
///
/// Not after a panic: the list is in memory that is evidence then. The next takeover empties it.
///
/// # Errors
///
/// [`HwError::Absent`] if the list is not in the guest's memory: the next kernel's tables come on top.
pub fn empty(machine: &Machine) -> Result<(), HwError> {
    if machine.takeover.is_crash() {
        return Ok(());
    }
    let Some(first) = machine.memory_reserve.or_else(|| find(machine)) else {
        return Ok(());
    };
    // Asked last, as each redistributor is.
    if machine.gic.has_lpis_on() {
        return Ok(());
    }
    let place = machine.ram.range(first, memory_reserve::HEADER as u64);
    let header = place.and_then(|place| Some((place, place.copy()?)));
    let (place, header) = header.ok_or(HwError::Absent {
        what: "guest memory",
        id: first,
    })?;
    let emptied = memory_reserve::emptied(header);
    if header != emptied && place.write(&emptied) {
        cache::clean_to_poc(place.start() as usize, emptied.len());
    }
    Ok(())
}

/// Returns where the list is by the system table that the next kernel is handed: of firmware that is in
/// the guest, the monitor knows nothing else.
fn find(machine: &Machine) -> Option<u64> {
    let uefi = machine.takeover.uefi()?;
    let memory = Quiet(&machine.ram);
    let bytes = memory.bytes(uefi.map.start(), uefi.map.size() as usize)?;
    let map = MemoryMap::new(bytes, uefi.descriptor as usize, uefi.version).ok()?;
    SystemTable::read(&memory, uefi.system_table, &map)
        .inspect_err(|error| log::debug!("what is reserved for LPIs stays so: {error}"))
        .ok()?
        .memory_reserve
}
