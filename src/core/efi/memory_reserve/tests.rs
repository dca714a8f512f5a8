// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::efi::sample::{Memory, reserve};
use alloc::vec::Vec;

const FIRST: u64 = 0x1000;

fn regions(memory: &Memory) -> Result<Vec<Region>, ReserveError> {
    Ok(read(memory, FIRST)?.iter().copied().collect())
}

fn region(start: u64, size: u64) -> Region {
    Region::new(start, size).expect("test region")
}

#[test]
fn reads_all_parts_and_reserves_them_too() {
    let mut memory = Memory::default();
    memory
        .put(FIRST, reserve(0, 0x8000, &[]))
        .put(0x8000, reserve(3, 0x2000, &[(0x10_0000, 0x1_0000)]))
        .put(
            0x2000,
            reserve(2, 0, &[(0x20_0000, 0x1000), (0x30_0000, 8)]),
        );
    let expected = [
        region(FIRST, 16),
        region(0x2000, 48),
        region(0x8000, 64),
        region(0x10_0000, 0x1_0000),
        region(0x20_0000, 0x1000),
        region(0x30_0000, 8),
    ];
    assert_eq!(regions(&memory).as_deref(), Ok(&expected[..]));
    assert!(read(&memory, 0).expect("no list").is_empty());
}

#[test]
fn names_the_part_that_cannot_be_read() {
    let mut memory = Memory::default();
    let broken = |address, count, room| {
        Err(ReserveError::Part {
            address,
            count,
            room,
        })
    };
    assert_eq!(regions(&memory), broken(FIRST, 0, 0));
    memory.put(FIRST, reserve(1, 0x8000, &[]));
    assert_eq!(regions(&memory), broken(0x8000, 0, 0));
    for (count, room, len) in [(3, 2, 64), (2, 2, 40), (1, MAX_ROOM + 1, 64)] {
        let mut part = reserve(4, 0, &[]);
        part[..4].copy_from_slice(&u32::to_le_bytes(room));
        part[4..8].copy_from_slice(&u32::to_le_bytes(count));
        part.truncate(len);
        let mut memory = Memory::default();
        memory.put(FIRST, part);
        assert_eq!(regions(&memory), broken(FIRST, count, room), "{len} bytes");
    }
}

#[test]
fn a_list_without_an_end_is_refused() {
    let mut memory = Memory::default();
    memory.put(FIRST, reserve(1, FIRST, &[(0x10_0000, 1)]));
    assert_eq!(regions(&memory), Err(ReserveError::Endless));
}

#[test]
fn an_emptied_list_keeps_its_room() {
    let memory = |header: [u8; HEADER]| {
        let mut memory = Memory::default();
        memory.put(0x4000_0000, header.to_vec());
        memory
    };
    let full = reserve(7, 0x4001_0000, &[(0x5000_0000, 0x1_0000); 3]);
    let emptied = emptied(*full.first_chunk().expect("a header"));
    assert_eq!(emptied[..COUNT], full[..COUNT]);
    assert_eq!(emptied[COUNT..], [0; HEADER - COUNT]);
    assert_eq!(super::emptied(emptied), emptied);
    let reserved = read(&memory(emptied), 0x4000_0000).expect("a list");
    let part = Region::new(0x4000_0000, (HEADER + 7 * ENTRY) as u64);
    assert!(reserved.iter().eq(&part.ok()), "{reserved}");
}
