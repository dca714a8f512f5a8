// SPDX-License-Identifier: Apache-2.0
//! Registers that the guest does not get, as whole pages of stage 2.

use super::region::{Region, RegionSet};

/// What stage 2 maps without a table of level 3, and with one.
const BLOCK: u64 = 2 << 20;
const PAGE: u64 = 4 << 10;

/// How many blocks of 2 MiB can have such pages in them: each takes a table of level 3. No tree that Linux has
/// names registers in more than four.
pub const MAX_BLOCKS: usize = 32;

/// Which registers are withheld.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// Their pages.
    pub pages: RegionSet,
    /// Those that stay the guest's all the same: they share a page with its memory, or are in a block too many.
    pub left: RegionSet,
}

impl Withheld {
    /// Withholds `registers` that lie below `end`, the end of the guest's addresses. What shares their pages goes
    /// with them: CoreSight's components have pages of 4 KiB to themselves (Arm IHI 0029, B2).
    pub fn new(registers: &RegionSet, memory: &RegionSet, end: u64) -> Self {
        let (mut pages, mut left) = (RegionSet::new(), RegionSet::new());
        let (mut blocks, mut last) = (0, None);
        for region in registers.iter().filter(|region| region.start() < end) {
            let rounded = region.align_outward(PAGE);
            let fits = |page: &Region| page.end() <= end && !memory.overlaps(page);
            let Some(page) = rounded.filter(fits) else {
                left.insert(*region);
                continue;
            };
            let ends = (page.start() / BLOCK, (page.end() - 1) / BLOCK);
            let new = usize::from(last != Some(ends.0)) + usize::from(ends.0 != ends.1);
            if blocks + new > MAX_BLOCKS {
                left.insert(*region);
                continue;
            }
            (blocks, last) = (blocks + new, Some(ends.1));
            pages.insert(page);
        }
        Self { pages, left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const END: u64 = 1 << 40;

    fn set(regions: &[(u64, u64)]) -> RegionSet {
        let region = |(start, end): &(u64, u64)| Region::from_bounds(*start, *end);
        regions
            .iter()
            .map(|bounds| region(bounds).expect("test region"))
            .collect()
    }

    #[track_caller]
    fn expect(registers: &[(u64, u64)], pages: &[(u64, u64)], left: &[(u64, u64)]) {
        let memory = set(&[(0x4000_0000, 0x8000_0000)]);
        let expected = Withheld {
            pages: set(pages),
            left: set(left),
        };
        assert_eq!(Withheld::new(&set(registers), &memory, END), expected);
    }

    #[test]
    fn registers_are_withheld_with_their_pages() {
        let whole = [(0x2201_0000, 0x2201_1000), (0x2202_0000, 0x2203_0000)];
        expect(&whole, &whole, &[]);
        let part = [(0x2201_0800, 0x2201_0c00), (0x2202_0ffc, 0x2202_1004)];
        expect(
            &part,
            &[(0x2201_0000, 0x2201_1000), (0x2202_0000, 0x2202_2000)],
            &[],
        );
    }

    #[test]
    fn memory_is_not_withheld() {
        for wrong in [
            (0x7fff_f000, 0x8000_0000),
            (0x8000_0000 - 4, 0x8000_0010),
            (0, END),
        ] {
            expect(&[wrong], &[], &[wrong]);
        }
        expect(
            &[(0x8000_0000, 0x8000_0010)],
            &[(0x8000_0000, 0x8000_1000)],
            &[],
        );
    }

    #[test]
    fn what_no_guest_reaches_needs_no_withholding() {
        expect(&[(END, END + 0x1000)], &[], &[]);
        expect(&[(END - 0x1000, END)], &[(END - 0x1000, END)], &[]);
        expect(
            &[(END - 0x1000, END + 0x1000)],
            &[],
            &[(END - 0x1000, END + 0x1000)],
        );
    }

    #[test]
    fn tables_are_bounded() {
        let page = |block: u64| (block * BLOCK + 0x1000, block * BLOCK + 0x2000);
        let many: Vec<_> = (0..MAX_BLOCKS as u64 + 2).map(page).collect();
        expect(&many, &many[..MAX_BLOCKS], &many[MAX_BLOCKS..]);
        // Many in one block, behind others, take one.
        let mut dense: Vec<_> = (0..MAX_BLOCKS as u64 - 1).map(page).collect();
        let last = MAX_BLOCKS as u64 - 1;
        dense.extend((0..200).map(|n| {
            (
                last * BLOCK + n * 0x2000,
                last * BLOCK + n * 0x2000 + 0x1000,
            )
        }));
        expect(&dense, &dense, &[]);
        // One across the end of a block takes two.
        let across = ((last + 1) * BLOCK - 0x1000, (last + 1) * BLOCK + 0x1000);
        let mut full: Vec<_> = (0..last).map(page).collect();
        full.push(across);
        expect(&full, &full[..MAX_BLOCKS - 1], &[across]);
    }
}
