// SPDX-License-Identifier: Apache-2.0
//! At which level the guest's stage 1 walk reads a page (Arm ARM, "Translation process"): for the
//! syndrome of an abort that the monitor injects.

use crate::memory::guest_memory::GuestMemory;

/// Bits 1:0 of a descriptor that leads to a table, at any level but the last.
const TABLE: u64 = 3;
/// Bits 47:12, the address in a descriptor.
const ADDRESS: u64 = 0xffff_ffff_f000;
/// Bits 47:1, `TTBR0_EL1.BADDR`.
const BASE: u64 = 0xffff_ffff_fffe;
/// The level that maps pages.
const LAST: u32 = 3;

/// The guest's registers of stage 1.
#[derive(Clone, Copy, Debug)]
pub struct Stage1 {
    /// `TCR_EL1`.
    pub tcr: u64,
    /// `TTBR0_EL1`.
    pub ttbr0: u64,
    /// `TTBR1_EL1`.
    pub ttbr1: u64,
}

impl Stage1 {
    /// Returns the level, 0 to 3, at which the walk of virtual address `address` reads the 4 KiB
    /// around physical address `page`. 3 if the walk does not read it any more, as the guest has
    /// changed its tables since.
    pub fn level_at(&self, memory: &impl GuestMemory, address: u64, page: u64) -> u32 {
        let upper = address >> 55 & 1 != 0;
        let (ttbr, size, granule) = match upper {
            false => (self.ttbr0, self.tcr, [12, 16, 14, 12]),
            true => (self.ttbr1, self.tcr >> 16, [12, 14, 12, 16]),
        };
        let bits = 64 - (size & 0x3f).clamp(12, 48) as u32;
        // TG0 is as far from T0SZ as TG1 is from T1SZ.
        let page_bits: u32 = granule[(size >> 14 & 3) as usize];
        let step = page_bits - 3;
        let first = LAST + 1 - (bits.max(page_bits + 1) - page_bits).div_ceil(step).min(4);
        let inside = address & ((1 << bits) - 1);
        // The root has an entry for each value of the bits that no other level takes, and is
        // aligned to its size, and to 64 bytes.
        let root_bits = bits.saturating_sub(page_bits + step * (LAST - first)) + 3;
        let mut table = ttbr & BASE & (u64::MAX << root_bits.max(6));
        for level in first..LAST {
            let shift = page_bits + step * (LAST - level);
            let mask = if level == first {
                u64::MAX
            } else {
                (1 << step) - 1
            };
            let entry = table + (inside >> shift & mask) * 8;
            if entry & !0xfff == page & !0xfff {
                return level;
            }
            match memory.read_u64(entry & !7) {
                Some(descriptor) if descriptor & 3 == TABLE => {
                    table = descriptor & ADDRESS & !((1 << page_bits) - 1);
                }
                _ => break,
            }
        }
        LAST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::fake::Ram;

    const ROOT: u64 = Ram::START;
    const PAGE: u64 = 0x1000;

    /// Returns the level at which a walk reads a page of the monitor that `indices` lead to, one a
    /// level; without any, the level of the root.
    fn level(tcr: u64, address: u64, indices: &[u64]) -> u32 {
        let ram = Ram::new();
        let mut table = ROOT;
        for (n, index) in (1..).zip(indices) {
            let last = n as usize == indices.len();
            let next = if last {
                Ram::MONITOR
            } else {
                ROOT + n * 0x1_0000
            };
            ram.write(table + index * 8, next | 3);
            table = next;
        }
        let page = if indices.is_empty() {
            ROOT
        } else {
            Ram::MONITOR
        };
        let stage1 = Stage1 {
            tcr,
            ttbr0: ROOT,
            ttbr1: ROOT,
        };
        stage1.level_at(&ram, address, page)
    }

    #[test]
    fn finds_the_level_of_each_granule() {
        // 4 KiB and 39 bits: the root is of level 1.
        let tcr = 25 | 25 << 16 | 2 << 30;
        let address = 300 << 30 | 7 << 21 | 5 << 12;
        assert_eq!(level(tcr, address, &[]), 1);
        assert_eq!(level(tcr, address, &[300]), 2);
        assert_eq!(level(tcr, address, &[300, 7]), 3);
        let kernel = !0 << 39 | address;
        assert_eq!(level(tcr, kernel, &[300]), 2);
        // 4 KiB and 48 bits.
        let tcr = 16 | 16 << 16 | 2 << 30;
        assert_eq!(level(tcr, 1 << 39 | address, &[]), 0);
        assert_eq!(level(tcr, 1 << 39 | address, &[1, 300]), 2);
        // 64 KiB and 48 bits: levels 1 to 3, and 29 bits below the second.
        let tcr = 16 | 1 << 14;
        assert_eq!(level(tcr, 1 << 42 | 3 << 29, &[]), 1);
        assert_eq!(level(tcr, 1 << 42 | 3 << 29, &[1]), 2);
        assert_eq!(level(tcr, 1 << 42 | 3 << 29, &[1, 3]), 3);
        // 16 KiB and 47 bits: levels 1 to 3.
        let tcr = 17 | 2 << 14;
        assert_eq!(level(tcr, 2 << 36 | 9 << 25, &[2]), 2);
        assert_eq!(level(tcr, 2 << 36 | 9 << 25, &[2, 9]), 3);
    }

    #[test]
    fn finds_a_root_that_is_smaller_than_a_page() {
        // 64 KiB and 48 bits: 64 entries, which Linux puts at any multiple of 512 bytes.
        let ram = Ram::new();
        let root = ROOT + 0x600;
        ram.write(root + 8, Ram::MONITOR | 3);
        let stage1 = Stage1 {
            tcr: 16 | 1 << 14,
            ttbr0: 7 << 48 | root | 1,
            ttbr1: 0,
        };
        let level = |address, page| stage1.level_at(&ram, address, page);
        assert_eq!(level(1 << 42, ROOT), 1);
        assert_eq!(level(1 << 42, Ram::MONITOR), 2);
    }

    #[test]
    fn ends_on_what_makes_no_sense() {
        let ram = Ram::new();
        for tcr in [0, 0x3f, u64::MAX, 3 << 14, 1 << 30, 0x8000_4000] {
            for address in [0, u64::MAX, 1 << 55, PAGE] {
                let stage1 = Stage1 {
                    tcr,
                    ttbr0: u64::MAX,
                    ttbr1: Ram::MONITOR,
                };
                assert!(stage1.level_at(&ram, address, 0) <= 3);
            }
        }
    }
}
