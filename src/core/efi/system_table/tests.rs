// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::efi::memory_map::VERSION;
use crate::efi::sample::{AT_RUNTIME, Memory, configuration, map, reserve, system_table};
use crate::memory::region::Region;

const TABLE: u64 = 0xbfff_0018;
const ENTRIES_AT: u64 = 0xbffe_0100;
/// Where SetVirtualAddressMap has put them.
const VIRTUAL_AT: u64 = 0x2000_0100;
const OTHER: [u8; 16] = [7; 16];

fn read(memory: &Memory) -> Result<SystemTable, SystemTableError> {
    let map = map(
        48,
        &[
            (6, 0xbffe_0000, 0x2000_0000, 16, AT_RUNTIME),
            (6, 0xbfff_0000, 0x2001_0000, 16, AT_RUNTIME),
        ],
    );
    let map = MemoryMap::new(&map, 48, VERSION).expect("a map");
    SystemTable::read(memory, TABLE, &map)
}

#[test]
fn finds_tables_by_physical_and_by_virtual_addresses() {
    let expected = SystemTable {
        rsdp: Some(0xbf00_0000),
        memory_reserve: Some(0xbf80_0000),
    };
    let tables = [
        (OTHER, 1),
        (ACPI_20, 0xbf00_0000),
        (MEMORY_RESERVE, 0xbf80_0000),
    ];
    for address in [ENTRIES_AT, VIRTUAL_AT] {
        let mut memory = Memory::default();
        memory
            .put(TABLE, system_table(3, address))
            .put(ENTRIES_AT, configuration(&tables));
        assert_eq!(read(&memory), Ok(expected), "at {address:#x}");
    }
}

#[test]
fn tables_that_are_not_there_are_none() {
    let mut memory = Memory::default();
    memory.put(TABLE, system_table(0, 0));
    let table = read(&memory).expect("a table");
    assert_eq!((table.rsdp, table.memory_reserve), (None, None));
    assert_eq!(table.reserved(&memory), Ok(RegionSet::new()));
}

#[test]
fn refuses_what_is_none() {
    let mut memory = Memory::default();
    assert_eq!(read(&memory), Err(SystemTableError::None(TABLE)));
    memory.put(TABLE, alloc::vec![0; SIZE]);
    assert_eq!(read(&memory), Err(SystemTableError::None(TABLE)));
    for (count, address) in [(4, ENTRIES_AT), (1, 0x5000), (MAX_ENTRIES + 1, ENTRIES_AT)] {
        let mut memory = Memory::default();
        memory
            .put(TABLE, system_table(count, address))
            .put(ENTRIES_AT, configuration(&[(OTHER, 0); 3]));
        let expected = SystemTableError::Configuration { count, address };
        assert_eq!(read(&memory), Err(expected));
    }
}

#[test]
fn what_linux_reserved_is_read() {
    let table = SystemTable {
        rsdp: None,
        memory_reserve: Some(0x1000),
    };
    let mut memory = Memory::default();
    memory.put(0x1000, reserve(1, 0, &[(0x10_0000, 0x1000)]));
    let reserved = table.reserved(&memory).expect("a list");
    let expected = [Region::new(0x1000, 32), Region::new(0x10_0000, 0x1000)];
    assert!(reserved.iter().copied().map(Ok).eq(expected), "{reserved}");
    let missing = table.reserved(&Memory::default());
    assert!(matches!(missing, Err(SystemTableError::Reserved(_))));
}
