// SPDX-License-Identifier: Apache-2.0
//! Firmware's translation tables, which EL1 goes on with: what means something else there is changed in
//! place (Arm ARM, D8.3: "Translation table descriptor formats").
//!
//! With `HCR_EL2.E2H` set, nothing does. Without it, EL2 has one bit for "never execute", where EL1 has two,
//! one of them for itself; and it ignores the bit that gives EL0 access. A device that EL2 would not execute
//! from could be fetched from speculatively by EL1, and memory that EL0 may write is not executed by EL1.

use super::regime::El2Regime;
use thiserror::Error;

/// Bits 1:0: valid, and a table where the level has any.
const VALID: u64 = 1;
const TABLE: u64 = 2;
/// Bits 47:12, the address in a descriptor.
const ADDRESS: u64 = 0xffff_ffff_f000;
/// `TTBR0_EL2.BADDR`.
const BASE: u64 = 0xffff_ffff_fffe;
/// AP\[1\] of a leaf: EL0 has access, at EL1.
const AP_EL0: u64 = 1 << 6;
/// Of a leaf: not executed by EL1; not by EL0, which is the bit of EL2.
const PXN: u64 = 1 << 53;
const XN: u64 = 1 << 54;
/// The same for all that a table leads to.
const PXN_TABLE: u64 = 1 << 59;
const XN_TABLE: u64 = 1 << 60;
/// APTable\[0\]: EL0 has no access.
const NO_EL0_TABLE: u64 = 1 << 61;
/// The level that maps pages.
const LAST: u32 = 3;
/// Tables that are walked at most: 256 MiB of them.
const TABLES_MAX: usize = 1 << 16;
/// `TCR_EL2.DS`: 52 bits of address, and another format, for pages of 4 and 16 KiB.
const DS: u64 = 1 << 32;
/// `ID_AA64MMFR0_EL1.PARange` of 52 bits, as `TCR_EL2.PS`.
const PS_52: u64 = 6;

/// Memory that the tables lie in.
pub trait TableMemory {
    /// Returns the descriptor at physical address `address`; `None` if that is not memory.
    fn read(&self, address: u64) -> Option<u64>;

    /// Writes one; returns false if that is not memory.
    fn write(&mut self, address: u64, descriptor: u64) -> bool;
}

/// Why EL1 cannot go on with firmware's tables.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TablesError {
    /// The MMU is off.
    #[error("firmware runs with its MMU off (SCTLR_EL2 {0:#x})")]
    Off(u64),
    /// The tables have 52 bits of address.
    #[error("firmware's tables have 52 bits of address (TCR_EL2 {0:#x})")]
    Format(u64),
    /// A table is not in memory.
    #[error("firmware's table at {0:#x} is not in memory that a kernel is given")]
    Memory(u64),
    /// There are too many.
    #[error("firmware has more than {TABLES_MAX} tables")]
    TooMany,
}

/// What was walked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Tables.
    pub tables: usize,
    /// Descriptors that mean something else at EL1, and are changed.
    pub changed: usize,
}

/// Walks the tables of `regime`, and changes what means something else at EL1.
///
/// # Errors
///
/// [`TablesError`]; what was changed before means the same to EL2 as it did.
pub fn convert(regime: &El2Regime, memory: &mut impl TableMemory) -> Result<Walked, TablesError> {
    if !regime.is_translated() {
        return Err(TablesError::Off(regime.sctlr));
    }
    if regime.has_vhe() {
        return Ok(Walked::default());
    }
    let page_bits = match regime.tcr >> 14 & 3 {
        0 => 12,
        1 => 16,
        _ => 14,
    };
    let is_52 = regime.tcr & DS != 0 || page_bits == 16 && regime.tcr >> 16 & 7 == PS_52;
    if is_52 {
        return Err(TablesError::Format(regime.tcr));
    }
    let bits = 64 - (regime.tcr & 0x3f).clamp(12, 48) as u32;
    let step = page_bits - 3;
    let first = LAST + 1 - (bits.max(page_bits + 1) - page_bits).div_ceil(step).min(4);
    let root_entries_bits = bits.saturating_sub(page_bits + step * (LAST - first));
    let mut walk = Walk {
        memory,
        page_bits,
        walked: Walked::default(),
    };
    let root = regime.ttbr0 & BASE & (u64::MAX << (root_entries_bits + 3).max(6));
    walk.table(root, 1 << root_entries_bits, first)?;
    Ok(walk.walked)
}

struct Walk<'a, M> {
    memory: &'a mut M,
    page_bits: u32,
    walked: Walked,
}

impl<M: TableMemory> Walk<'_, M> {
    /// Walks the table of level `level` at `table`, which has `entries` of them.
    fn table(&mut self, table: u64, entries: u64, level: u32) -> Result<(), TablesError> {
        self.walked.tables += 1;
        if self.walked.tables > TABLES_MAX {
            return Err(TablesError::TooMany);
        }
        for address in (0..entries).map(|entry| table.wrapping_add(entry * 8)) {
            let descriptor = self
                .memory
                .read(address)
                .ok_or(TablesError::Memory(table))?;
            if descriptor & VALID == 0 {
                continue;
            }
            let leads_on = level < LAST && descriptor & TABLE != 0;
            let at_el1 = if leads_on {
                table_at_el1(descriptor)
            } else {
                leaf_at_el1(descriptor)
            };
            if at_el1 != descriptor {
                self.walked.changed += 1;
                if !self.memory.write(address, at_el1) {
                    return Err(TablesError::Memory(table));
                }
            }
            if leads_on {
                let next = descriptor & ADDRESS & (u64::MAX << self.page_bits);
                self.table(next, 1 << (self.page_bits - 3), level + 1)?;
            }
        }
        Ok(())
    }
}

fn leaf_at_el1(descriptor: u64) -> u64 {
    let pxn = if descriptor & XN != 0 { PXN } else { 0 };
    descriptor & !(AP_EL0 | PXN) | pxn
}

fn table_at_el1(descriptor: u64) -> u64 {
    let pxn = if descriptor & XN_TABLE != 0 {
        PXN_TABLE
    } else {
        0
    };
    descriptor & !(NO_EL0_TABLE | PXN_TABLE) | pxn
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    const ROOT: u64 = 0x8000_0000;
    const NEXT: u64 = 0x8000_1000;
    const LAST_TABLE: u64 = 0x8000_2000;
    /// A leaf with the access flag, as EDK2 has them.
    const LEAF: u64 = 1 << 10 | 1;
    const END: u64 = 0x8000_8000;

    #[derive(Default)]
    struct Tables(BTreeMap<u64, u64>);

    impl TableMemory for Tables {
        fn read(&self, address: u64) -> Option<u64> {
            (ROOT..END)
                .contains(&address)
                .then(|| self.0.get(&address).copied().unwrap_or(0))
        }

        fn write(&mut self, address: u64, descriptor: u64) -> bool {
            self.0.insert(address, descriptor);
            true
        }
    }

    /// 4 KiB and 39 bits: the root is of level 1.
    const REGIME: El2Regime = El2Regime {
        hcr: 1 << 31,
        sctlr: 1,
        tcr: 25,
        ttbr0: ROOT | 1,
        mair: 0,
        vbar: 0,
    };

    fn three_levels() -> Tables {
        let mut tables = Tables::default();
        tables.write(ROOT + 8, NEXT | 3);
        tables.write(NEXT + 16, LAST_TABLE | 3);
        tables
    }

    #[test]
    fn never_execute_holds_for_el1_too() {
        let mut tables = three_levels();
        tables.write(ROOT, XN | LEAF);
        tables.write(NEXT, XN | PXN | LEAF);
        tables.write(LAST_TABLE, PXN | LEAF | 2);
        tables.write(LAST_TABLE + 8, LEAF | 2);
        let walked = Walked {
            tables: 3,
            changed: 2,
        };
        assert_eq!(convert(&REGIME, &mut tables), Ok(walked));
        assert_eq!(tables.0[&ROOT], XN | PXN | LEAF, "a block");
        assert_eq!(tables.0[&NEXT], XN | PXN | LEAF, "it was so before");
        assert_eq!(tables.0[&LAST_TABLE], LEAF | 2, "EL2 ignores PXN");
        assert_eq!(tables.0[&(LAST_TABLE + 8)], LEAF | 2, "executable");
        let again = Walked {
            changed: 0,
            ..walked
        };
        assert_eq!(convert(&REGIME, &mut tables), Ok(again), "once is enough");
    }

    #[test]
    fn el0_gets_no_access() {
        let mut tables = three_levels();
        tables.write(ROOT, AP_EL0 | LEAF);
        tables.write(ROOT + 8, NO_EL0_TABLE | XN_TABLE | NEXT | 3);
        assert_eq!(
            convert(&REGIME, &mut tables).map(|walked| walked.changed),
            Ok(2)
        );
        assert_eq!(tables.0[&ROOT], LEAF);
        assert_eq!(tables.0[&(ROOT + 8)], XN_TABLE | PXN_TABLE | NEXT | 3);
    }

    #[test]
    fn vhe_means_the_same_at_el1() {
        let mut tables = three_levels();
        tables.write(ROOT, AP_EL0 | XN | LEAF);
        let vhe = El2Regime {
            hcr: 1 << 34,
            ..REGIME
        };
        assert_eq!(convert(&vhe, &mut tables), Ok(Walked::default()));
        assert_eq!(tables.0[&ROOT], AP_EL0 | XN | LEAF);
    }

    #[test]
    fn finds_the_tables_of_each_granule() {
        // 16 KiB and 47 bits: levels 1 to 3; 64 KiB and 48 bits: 64 entries at level 1.
        for (tcr, entry, shift) in [(17 | 2 << 14, 2047, 14), (16 | 1 << 14, 63, 16)] {
            let mut tables = Tables::default();
            tables.write(ROOT + entry * 8, XN | LEAF);
            let regime = El2Regime { tcr, ..REGIME };
            // The next table begins with the last descriptor of the root.
            let walked = convert(&regime, &mut tables).map(|walked| walked.changed);
            assert_eq!(walked, Ok(1), "granule of 2^{shift}");
        }
    }

    #[test]
    fn says_what_cannot_be_carried() {
        let mut tables = three_levels();
        let off = El2Regime { sctlr: 0, ..REGIME };
        assert_eq!(convert(&off, &mut tables), Err(TablesError::Off(0)));
        let tcr = REGIME.tcr | DS;
        let wide = El2Regime { tcr, ..REGIME };
        assert_eq!(convert(&wide, &mut tables), Err(TablesError::Format(tcr)));
        tables.write(NEXT, END | 3);
        assert_eq!(convert(&REGIME, &mut tables), Err(TablesError::Memory(END)));
        // Each entry of the root leads to the root, and so on.
        let mut circle = Tables::default();
        for entry in 0..512 {
            circle.write(ROOT + entry * 8, ROOT | 3);
        }
        let deep = El2Regime { tcr: 16, ..REGIME };
        assert_eq!(convert(&deep, &mut circle), Err(TablesError::TooMany));
    }
}
