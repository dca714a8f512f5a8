// SPDX-License-Identifier: Apache-2.0
//! What UEFI leaves in memory for a kernel: that of a sound machine, changed as an input says.

use crate::input::Input;
use crate::tables::{alter, changed as acpi};
use baton_core::acpi::sample::RSDP;
use baton_core::efi::sample::{
    AT_RUNTIME, Memory, WRITE_BACK, configuration, map, reserve, system_table,
};
use baton_core::efi::system_table::{ACPI_20, MEMORY_RESERVE};

/// Where the memory map is.
pub const MAP: u64 = 0xbc00_0040;
/// Bytes of a descriptor in it.
pub const DESCRIPTOR: usize = 48;
/// Where the system table is.
pub const TABLE: u64 = 0xbfff_0018;

/// Where firmware has the rest, and where SetVirtualAddressMap has put it.
const RUNTIME: u64 = 0xbffe_0000;
const VIRTUAL: u64 = 0x2000_0000;
/// Where the configuration tables are in it.
const ENTRIES: u64 = 0x100;
/// Where the parts are of what Linux has reserved.
const RESERVE: [u64; 2] = [0xbb00_0000, 0xbb01_0000];

/// Returns the memory of a machine, whose firmware has its tables at virtual addresses or not.
fn machine(is_mapped: bool) -> Memory {
    let tables = [([7; 16], 1), (ACPI_20, RSDP), (MEMORY_RESERVE, RESERVE[0])];
    let at = if is_mapped { VIRTUAL } else { 0 };
    let entries = ENTRIES + if is_mapped { VIRTUAL } else { RUNTIME };
    let descriptors = [
        (7, 0x4000_0000, 0, 0x7_c000, WRITE_BACK),
        (2, 0xbc00_0000, 0, 0x3000, WRITE_BACK),
        (9, 0xbf00_0000, 0, 0xfe0, WRITE_BACK),
        (6, RUNTIME, at, 0x20, AT_RUNTIME),
    ];
    let mut memory = Memory::default();
    memory
        .put(MAP, map(DESCRIPTOR, &descriptors))
        .put(TABLE, system_table(tables.len() as u32, entries))
        .put(RUNTIME + ENTRIES, configuration(&tables))
        .put(
            RESERVE[0],
            reserve(2, RESERVE[1], &[(0xba00_0000, 0x10_0000)]),
        )
        .put(RESERVE[1], reserve(1, 0, &[(0xb900_0000, 0x1_0000)]))
        .put(RSDP, acpi(0, &mut Input::new(&[])).bytes);
    memory
}

/// Returns the memory of a machine with changes.
pub fn changed(input: &mut Input<'_>) -> Memory {
    let mut memory = machine(input.u8() & 1 != 0);
    while !input.is_empty() {
        let what = usize::from(input.u8());
        let index = what % memory.0.len();
        if let Some((_, bytes)) = memory.0.get_mut(index) {
            alter(bytes, (what / 8) as u8, 1, input);
        }
    }
    memory
}
