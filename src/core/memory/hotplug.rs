// SPDX-License-Identifier: Apache-2.0
//! Where memory can be that is hot-plugged: the board's description does not have it.

use super::region::{Region, RegionSet, align_down, align_up};

/// Bytes of a block, at a multiple of as many: a part of one that is taken takes all of it. Linux plugs in
/// nothing smaller (`SUBSECTION_SIZE` in `include/linux/mmzone.h`), and it is what one entry of a table maps.
pub const BLOCK: u64 = 2 << 20;

/// The addresses that nothing is known to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    taken: RegionSet,
    end: u64,
}

impl Room {
    /// Returns what is left of the addresses below `end` without the blocks that any of `taken` lies in, and
    /// without the first block, which has address 0.
    pub fn new<'a>(taken: impl Iterator<Item = &'a Region>, end: u64) -> Self {
        let first = Region::new(0, BLOCK).ok();
        Self {
            taken: taken.filter_map(blocks).chain(first).collect(),
            end,
        }
    }

    /// Returns whether all of `region` is free.
    pub fn has(&self, region: &Region) -> bool {
        region.end() <= self.end && !self.taken.overlaps(region)
    }
}

/// Returns the blocks that `region` lies in; the last one may have no end that is a 64-bit address.
fn blocks(region: &Region) -> Option<Region> {
    let start = align_down(region.start(), BLOCK)?;
    let end = align_up(region.end(), BLOCK).unwrap_or(u64::MAX);
    Region::from_bounds(start, end).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(start: u64, end: u64) -> Region {
        Region::from_bounds(start, end).expect("test region")
    }

    fn room() -> Room {
        let taken = [
            region(0x900_0000, 0x900_1000),
            region(0x4000_0000, 0x7ff0_1000),
        ];
        Room::new(taken.iter(), 1 << 40)
    }

    #[test]
    fn what_is_next_to_memory_of_the_boot_is_free() {
        assert!(room().has(&region(0x8000_0000, 0xc000_0000)));
        assert!(room().has(&region(0x3fff_f000, 0x4000_0000)));
        assert!(room().has(&region((1 << 40) - 8, 1 << 40)));
    }

    #[test]
    fn the_whole_block_of_what_is_taken_is_taken() {
        for (start, end) in [
            (0x900_0000, 0x900_0008),
            (0x91f_f000, 0x920_0000),
            (0x7ff0_2000, 0x7ff0_3000),
            (0x7fff_f000, 0x8000_1000),
        ] {
            assert!(!room().has(&region(start, end)), "{start:#x}");
        }
    }

    #[test]
    fn neither_address_0_nor_what_is_beyond_the_last_is_free() {
        assert!(!room().has(&region(0, 0x1000)));
        assert!(!room().has(&region(0x1f_f000, 0x20_1000)));
        assert!(!room().has(&region((1 << 40) - 8, (1 << 40) + 8)));
    }

    /// As where ACPI describes the machine, and no memory can be plugged in.
    #[test]
    fn nothing_is_free_where_everything_is_taken() {
        let room = Room::new([region(0, u64::MAX)].iter(), 1 << 40);
        for start in [0x900_0000, 0x8000_0000, (1 << 40) - 0x1000] {
            assert!(!room.has(&region(start, start + 0x1000)), "{start:#x}");
        }
        let last = u64::MAX - 0x1000;
        let room = Room::new([region(last, u64::MAX)].iter(), u64::MAX);
        assert!(!room.has(&region(last - 0x2000, last - 0x1000)));
        assert!(room.has(&region(last - 2 * BLOCK, last - BLOCK)));
    }

    #[test]
    fn nothing_is_free_by_itself() {
        assert!(!Room::default().has(&region(0x8000_0000, 0x8000_1000)));
    }
}
