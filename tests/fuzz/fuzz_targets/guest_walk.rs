// SPDX-License-Identifier: Apache-2.0
//! Walks a guest's stage 1: on any tables the walk ends after as many reads as there are levels,
//! and returns the level at which the architecture reads a page.
#![no_main]

use baton_core::memory::guest_memory::GuestMemory;
use baton_core::memory::guest_walk::Stage1;
use baton_fuzz::input::Input;
use baton_fuzz::memory::Memory;
use libfuzzer_sys::fuzz_target;
use std::cell::Cell;

/// Memory that counts how often it is read.
struct Counted(Memory, Cell<u32>);

impl GuestMemory for Counted {
    fn read_u64(&self, address: u64) -> Option<u64> {
        self.1.set(self.1.get() + 1);
        self.0.read_u64(address)
    }

    fn contains(&self, start: u64, size: u64) -> bool {
        self.0.contains(start, size)
    }
}

/// The bits of an address that choose an entry, from level 0 on (Arm ARM, "Translation granules").
const BITS_4K: [(u32, u32); 4] = [(47, 39), (38, 30), (29, 21), (20, 12)];
const BITS_16K: [(u32, u32); 4] = [(47, 47), (46, 36), (35, 25), (24, 14)];
const BITS_64K: [(u32, u32); 4] = [(63, 52), (51, 42), (41, 29), (28, 16)];

/// The lower or the upper half of the address space: its granule, how many bits its addresses have,
/// and its root.
struct Half {
    levels: &'static [(u32, u32); 4],
    bits: u32,
    ttbr: u64,
}

impl Half {
    /// Returns where the entry for `address` is in the table of `level` at `table`.
    fn entry(&self, level: usize, table: u64, address: u64) -> u64 {
        let (high, low) = self.levels[level];
        let high = high.min(self.bits - 1);
        let index = address >> low & ((1 << (high - low + 1)) - 1);
        table + index * 8
    }

    /// Returns the first level, and the root's address, which is aligned to its size, and to 64
    /// bytes.
    fn root(&self) -> (usize, u64) {
        let level = self.levels.iter().position(|(_, low)| *low < self.bits);
        let level = level.expect("more bits than a page has");
        let (high, low) = self.levels[level];
        let entries = 1 << (high.min(self.bits - 1) - low + 1);
        let size: u64 = (entries * 8).max(64);
        (level, self.ttbr & 0xffff_ffff_ffff & !(size - 1))
    }

    fn granule(&self) -> u64 {
        1 << self.levels[3].1
    }

    /// Returns the level at which the walk of `address` reads `page`, if it does.
    fn level_at(&self, memory: &Memory, address: u64, page: u64) -> Option<usize> {
        let (first, mut table) = self.root();
        for level in first..4 {
            let entry = self.entry(level, table, address);
            if entry >> 12 == page >> 12 {
                return Some(level);
            }
            let descriptor = memory.read_u64(entry).filter(|word| word & 3 == 3)?;
            table = descriptor & 0xffff_ffff_ffff & !(self.granule() - 1);
        }
        None
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let kind = input.u8();
    let mut memory = Memory::new(0x1_0000 >> (kind & 4), 0x4000_0000);
    let upper = kind & 1 != 0;
    let size = u64::from(input.u8() & 0x3f);
    let granule = u64::from(kind >> 3 & 3);
    // The fields of the other half have no effect on this one.
    let other = u64::from(input.number(2) as u16);
    let (shift, low) = if upper { (16, other) } else { (0, other << 16) };
    let tcr = (size | granule << 14) << shift | low;
    let address = input.number(8) & !(1 << 55) | u64::from(upper) << 55;
    let ttbr = memory.pick(&mut input).wrapping_add(input.number(2)) | input.number(2) << 48;
    let stage1 = Stage1 {
        tcr,
        ttbr0: if upper { !ttbr } else { ttbr },
        ttbr1: if upper { ttbr } else { !ttbr },
    };

    // TG0 and TG1 number the granules differently; a reserved number is 4 KiB here.
    let levels = match (upper, granule) {
        (false, 1) | (true, 3) => &BITS_64K,
        (false, 2) | (true, 1) => &BITS_16K,
        _ => &BITS_4K,
    };
    let most = if levels == &BITS_64K { 52 } else { 48 };
    let half = Half {
        levels,
        bits: 64 - size as u32,
        ttbr,
    };
    let sound = (17..=most).contains(&half.bits);

    // Tables along the way, where the architecture looks for them.
    let mut page = memory.pick(&mut input);
    if sound {
        let (first, mut table) = half.root();
        for level in first..4 {
            let entry = half.entry(level, table, address);
            if kind >> 5 == level as u8 {
                page = entry;
            }
            let next = memory.pick(&mut input) & !(half.granule() - 1);
            let flags = u64::from(input.u8());
            // Nearly all of them lead to another table.
            let flags = if flags < 0xf0 { flags | 3 } else { flags };
            memory.write(
                entry,
                next & 0xffff_ffff_ffff | flags | u64::from(input.u8()) << 56,
            );
            table = next & 0xffff_ffff_ffff;
        }
    }
    while !input.is_empty() {
        let at = memory.pick(&mut input).wrapping_add(input.number(2) & !7);
        let value = input.number(8);
        memory.write(at, value);
    }

    let memory = Counted(memory, Cell::new(0));
    let level = stage1.level_at(&memory, address, page);
    assert!(level <= 3, "level {level}");
    assert!(memory.1.get() <= 3, "{} reads", memory.1.get());
    if sound {
        // Where the walk does not read the page, the last level is returned.
        let expected = half.level_at(&memory.0, address, page).unwrap_or(3);
        assert_eq!(
            level as usize, expected,
            "{stage1:x?}, address {address:#x}, page {page:#x}"
        );
    }
});
