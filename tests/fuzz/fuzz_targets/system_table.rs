// SPDX-License-Identifier: Apache-2.0
//! Reads UEFI's system table from sound memory with changes: what is found is what stands there first.
#![no_main]

use baton_core::acpi::Physical;
use baton_core::efi::memory_map::{MemoryMap, VERSION};
use baton_core::efi::system_table::{ACPI_20, MEMORY_RESERVE, SystemTable};
use baton_fuzz::efi::{DESCRIPTOR, MAP, TABLE, changed};
use baton_fuzz::input::Input;
use libfuzzer_sys::fuzz_target;

/// Bytes of an entry.
const ENTRY: usize = 24;

fn number(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes[at..].first_chunk().expect("8 bytes");
    u64::from_le_bytes(*bytes)
}

fuzz_target!(|data: &[u8]| {
    let memory = changed(&mut Input::new(data));
    let bytes = memory.0.iter().find(|(at, _)| *at == MAP);
    let bytes = bytes.map_or(&[][..], |(_, bytes)| bytes);
    let Ok(map) = MemoryMap::new(bytes, DESCRIPTOR, VERSION) else {
        return;
    };
    let table = match SystemTable::read(&memory, TABLE, &map) {
        Ok(table) => table,
        Err(error) => {
            assert!(data.len() > 1, "the sound tables: {error}");
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let shape = memory.bytes(TABLE, 120).expect("a table");
    let count = number(shape, 104) as u32 as usize;
    let entries = match count {
        0 => Some(&[][..]),
        _ => memory.bytes(map.physical(number(shape, 112)), count * ENTRY),
    };
    let entries = entries.expect("entries");
    let of = |guid: [u8; 16]| {
        let mut entries = entries.chunks_exact(ENTRY);
        Some(number(entries.find(|entry| entry.starts_with(&guid))?, 16))
    };
    assert_eq!(table.rsdp, of(ACPI_20));
    assert_eq!(table.memory_reserve, of(MEMORY_RESERVE));
    match table.reserved(&memory) {
        Ok(reserved) => assert_eq!(reserved.is_empty(), table.memory_reserve.unwrap_or(0) == 0),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
