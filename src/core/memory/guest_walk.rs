// SPDX-License-Identifier: Apache-2.0
//! The guest's stage 1 walk (Arm ARM, "Translation process"): at which level it reads a page, for the syndrome of an
//! abort that the monitor injects; and where it leads, for tables that no CPU has in use.

use crate::memory::guest_memory::GuestMemory;

/// Bits 1:0 of a descriptor that leads to a table, at any level but the last.
const TABLE: u64 = 3;
/// The same bits of one that maps a block.
const BLOCK: u64 = 1;
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

/// A walk for one virtual address.
struct Walk {
    /// The root.
    table: u64,
    /// The bits of an address within a page.
    page_bits: u32,
    /// The level of the root.
    first: u32,
    /// The bits that the root takes.
    bits: u32,
    /// The address without those that choose the root.
    inside: u64,
}

impl Walk {
    /// The bits of an address below those that the table of `level` takes.
    fn shift(&self, level: u32) -> u32 {
        self.page_bits + self.step() * (LAST - level)
    }

    /// How many bits a table takes.
    fn step(&self) -> u32 {
        self.page_bits - 3
    }

    /// Where the walk reads in `table`, which is of `level`.
    fn entry(&self, table: u64, level: u32) -> u64 {
        let mask = if level == self.first {
            u64::MAX
        } else {
            (1 << self.step()) - 1
        };
        table + (self.inside >> self.shift(level) & mask) * 8
    }

    /// The address of the page in `descriptor`.
    fn page(&self, descriptor: u64) -> u64 {
        descriptor & ADDRESS & !((1 << self.page_bits) - 1)
    }
}

impl Stage1 {
    fn walk(&self, address: u64) -> Walk {
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
        // The root has an entry for each value of the bits that no other level takes, and is
        // aligned to its size, and to 64 bytes.
        let root_bits = bits.saturating_sub(page_bits + step * (LAST - first)) + 3;
        Walk {
            table: ttbr & BASE & (u64::MAX << root_bits.max(6)),
            page_bits,
            first,
            bits,
            inside: address & ((1 << bits) - 1),
        }
    }

    /// Returns the level, 0 to 3, at which the walk of virtual address `address` reads the 4 KiB
    /// around physical address `page`. 3 if the walk does not read it any more, as the guest has
    /// changed its tables since.
    pub fn level_at(&self, memory: &impl GuestMemory, address: u64, page: u64) -> u32 {
        let walk = self.walk(address);
        let mut table = walk.table;
        for level in walk.first..LAST {
            let entry = walk.entry(table, level);
            if entry & !0xfff == page & !0xfff {
                return level;
            }
            match memory.read_u64(entry & !7) {
                Some(descriptor) if descriptor & 3 == TABLE => table = walk.page(descriptor),
                _ => break,
            }
        }
        LAST
    }

    /// Returns the physical address that virtual address `address` has, whatever may be done there. `None` if it
    /// has none, its tables are not in `memory`, or the walk has five levels.
    pub fn translate(&self, memory: &impl GuestMemory, address: u64) -> Option<u64> {
        let walk = self.walk(address);
        // Without the uppermost byte, which may be a tag.
        let sign = |by: u32| (address << 8) as i64 >> by;
        let is_canonical = sign(8 + walk.bits) == sign(63);
        if !is_canonical || walk.bits > walk.shift(walk.first) + walk.step() {
            return None;
        }
        let mut table = walk.table;
        for level in walk.first..=LAST {
            let descriptor = memory.read_u64(walk.entry(table, level))?;
            match (descriptor & 3, level) {
                (TABLE, LAST) | (BLOCK, 1..LAST) => {
                    let below = (1 << walk.shift(level)) - 1;
                    return Some(walk.page(descriptor) & !below | address & below);
                }
                (TABLE, _) => table = walk.page(descriptor),
                _ => return None,
            }
        }
        None
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
    fn translates_as_the_cpu_does() {
        let ram = Ram::new();
        let kernel = |tcr: u64| Stage1 {
            tcr: tcr << 16,
            ttbr0: 0,
            ttbr1: ROOT | 0x1234 << 48,
        };
        // 4 KiB and 48 bits: a page, a block of 2 MiB, one of 1 GiB.
        let four = kernel(16 | 2 << 14);
        ram.write(ROOT, ROOT + 0x1003);
        ram.write(ROOT + 0x1000, ROOT + 0x2003);
        ram.write(ROOT + 0x1008, 0x60_0000_0000_0701 | 2 << 30);
        ram.write(ROOT + 0x2000, ROOT + 0x3003);
        ram.write(ROOT + 0x2008, 0x60_0000_4060_0701);
        ram.write(ROOT + 0x3000 + 8 * 5, 0x60_0000_5555_5703);
        let base = 0xffff_0000_0000_0000;
        let at = |offset| four.translate(&ram, base + offset);
        assert_eq!(at(0x5678), Some(0x5555_5678));
        assert_eq!(at(0x21_2345), Some(0x4061_2345));
        assert_eq!(at(0x4765_4321), Some(0x8765_4321));
        assert_eq!(at(0x6000), None, "nothing is mapped there");
        assert_eq!(
            four.translate(&ram, 0xf5ff_0000_0000_5678),
            Some(0x5555_5678),
            "a tag"
        );
        assert_eq!(
            four.translate(&ram, 0xfffe_0000_0000_5678),
            None,
            "too far down"
        );
        assert_eq!(
            four.translate(&ram, 0x5678),
            None,
            "TTBR0_EL1 has no tables"
        );
        // 64 KiB and 42 bits: two levels.
        let large = kernel(22 | 3 << 14);
        ram.write(ROOT + 8, ROOT + 0x1_0003);
        ram.write(ROOT + 0x1_0000 + 8 * 3, 0x7777_0703);
        assert_eq!(
            large.translate(&ram, 0xffff_fc00_2003_abcd),
            Some(0x7777_abcd)
        );
        // 4 KiB and 52 bits.
        assert_eq!(kernel(12 | 2 << 14).translate(&ram, base + 0x5678), None);
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
                assert_eq!(stage1.translate(&ram, address), None);
            }
        }
    }
}
