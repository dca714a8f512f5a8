// SPDX-License-Identifier: Apache-2.0
//! The guest's stream table (3.3.1, 6.3.23 to 6.3.25), which it may change at any time.

use super::entry::GuestEntry;
use crate::memory::guest_memory::GuestMemory;

/// Bits of STRTAB_BASE, and of a descriptor of the first level: the address.
const ADDRESS: u64 = 0x000f_ffff_ffff_ffc0;
/// STRTAB_BASE_CFG: LOG2SIZE, SPLIT, FMT.
const SIZE: u32 = 0x3f;
const SPLIT_SHIFT: u32 = 6;
const SPLIT: u32 = 0x1f;
const FORMAT_SHIFT: u32 = 16;
const FORMAT: u32 = 3;
/// A descriptor of the first level: as many entries follow as a power of two less one; 0: none.
const SPAN: u64 = 0x1f;
/// Bytes of an entry, and of a descriptor, as powers of two.
const ENTRY_BITS: u32 = 6;
const DESCRIPTOR_BITS: u32 = 3;

/// A stream table, by the registers that lead to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Physical address of the first level, or of all entries.
    base: u64,
    /// Bits of a stream ID.
    bits: u32,
    /// Bits of a stream ID that the second level has; `None`: there is one level.
    split: Option<u32>,
}

impl Table {
    /// Reads STRTAB_BASE and STRTAB_BASE_CFG, where stream IDs have at most `most` bits. `None` if their values are
    /// reserved.
    pub fn new(base: u64, config: u32, most: u32) -> Option<Self> {
        let bits = (config & SIZE).min(most);
        let split = match config >> FORMAT_SHIFT & FORMAT {
            0 => None,
            1 => match config >> SPLIT_SHIFT & SPLIT {
                split @ (6 | 8 | 10) => Some(split),
                _ => return None,
            },
            _ => return None,
        };
        let size = match split {
            None => bits + ENTRY_BITS,
            Some(split) => (bits.saturating_sub(split) + DESCRIPTOR_BITS).max(ENTRY_BITS),
        };
        Some(Self {
            base: base & ADDRESS & (u64::MAX << size),
            bits,
            split,
        })
    }

    /// Returns how many streams have a place in it.
    pub fn streams(&self) -> u32 {
        1 << self.bits
    }

    /// Returns where the entries are that begin with that of `stream`, and how many follow each other; `None` if it
    /// has none.
    pub fn run(&self, memory: &impl GuestMemory, stream: u32) -> Option<(u64, u32)> {
        let left = self
            .streams()
            .checked_sub(stream)
            .filter(|left| *left > 0)?;
        let Some(split) = self.split else {
            return Some((self.base + (u64::from(stream) << ENTRY_BITS), left));
        };
        let index = u64::from(stream >> split);
        let descriptor = memory.read_u64(self.base + (index << DESCRIPTOR_BITS))?;
        let span = (descriptor & SPAN) as u32;
        // More than the second level can have is reserved.
        let entries: u32 = 1 << span.checked_sub(1).filter(|bits| *bits <= split)?;
        let place = stream & ((1 << split) - 1);
        let follow = entries.checked_sub(place).filter(|follow| *follow > 0)?;
        let base = descriptor & ADDRESS & (u64::MAX << (span - 1 + ENTRY_BITS));
        Some((base + (u64::from(place) << ENTRY_BITS), follow.min(left)))
    }

    /// Returns what counts of the entry of `stream`; `None` if it has none, or that is not in `memory`.
    pub fn entry(&self, memory: &impl GuestMemory, stream: u32) -> Option<GuestEntry> {
        let (at, _) = self.run(memory, stream)?;
        Some([memory.read_u64(at)?, memory.read_u64(at + 8)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    /// Words by their addresses.
    struct Words(BTreeMap<u64, u64>);

    impl GuestMemory for Words {
        fn read_u64(&self, address: u64) -> Option<u64> {
            self.0.get(&address).copied()
        }

        fn contains(&self, _: u64, _: u64) -> bool {
            false
        }
    }

    fn words(words: &[(u64, u64)]) -> Words {
        Words(words.iter().copied().collect())
    }

    fn at(table: &Table, memory: &Words, stream: u32) -> Option<u64> {
        table.run(memory, stream).map(|(at, _)| at)
    }

    #[test]
    fn one_level_is_as_long_as_its_register_says() {
        let table = Table::new(0x8000_3fff, 8, 16).expect("a table");
        let none = words(&[]);
        // 256 entries, at a multiple of 16 KiB.
        assert_eq!(table.run(&none, 0), Some((0x8000_0000, 256)));
        assert_eq!(table.run(&none, 255), Some((0x8000_3fc0, 1)));
        assert_eq!(table.run(&none, 256), None);
        let wide = Table::new(0, 63, 16).expect("a table");
        assert_eq!(wide.streams(), 1 << 16);
    }

    #[test]
    fn two_levels_are_walked_as_far_as_a_descriptor_spans() {
        let table = Table::new(0x8000_0000, 1 << 16 | 8 << 6 | 16, 16).expect("a table");
        let memory = words(&[
            (0x8000_0000, 0x9000_0000 | 9),
            (0x8000_0008, 0x9000_5000 | 3),
            (0x8000_0010, 0),
            (0x8000_0018, 0x9000_0000 | 10),
        ]);
        for (stream, expected) in [
            (0, Some(0x9000_0000)),
            (255, Some(0x9000_3fc0)),
            (0x100, Some(0x9000_5000)),
            (0x103, Some(0x9000_50c0)),
            (0x104, None),
            (0x200, None),
            (0x300, None),
            (0x400, None),
        ] {
            assert_eq!(at(&table, &memory, stream), expected, "{stream:#x}");
        }
        assert_eq!(table.run(&memory, 0x101), Some((0x9000_5040, 3)));
    }

    #[test]
    fn reserved_values_lead_nowhere() {
        for config in [2 << 16, 3 << 16, 1 << 16 | 7 << 6, 1 << 16] {
            assert_eq!(Table::new(0, config | 8, 16), None, "{config:#x}");
        }
        for split in [6, 8, 10] {
            assert!(Table::new(0, 1 << 16 | split << 6 | 8, 16).is_some());
        }
    }

    #[test]
    fn an_entry_is_read_where_it_is() {
        let table = Table::new(0x8000_0000, 8, 16).expect("a table");
        let memory = words(&[(0x8000_0040, 1), (0x8000_0048, 2), (0x8000_0080, 3)]);
        assert_eq!(table.entry(&memory, 1), Some([1, 2]));
        assert_eq!(table.entry(&memory, 2), None);
    }
}
