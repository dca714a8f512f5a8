// SPDX-License-Identifier: Apache-2.0
//! Entries of a stream table (5.2): what the guest's become, with stage 2 of the monitor's.

/// A stream table entry.
pub type Entry = [u64; 8];
/// What counts of one of the guest's: its first two words.
pub type GuestEntry = [u64; 2];

/// Word 0: V; Config, of which bit 0 is stage 1, bit 1 stage 2, bit 2 that anything goes through.
const VALID: u64 = 1;
const CONFIG: u64 = 7 << 1;
const ABORT: u64 = 0 << 1;
const BYPASS: u64 = 4 << 1;
const STAGE_1: u64 = 5 << 1;
const STAGE_2: u64 = 6 << 1;
const NESTED: u64 = 7 << 1;
/// Word 0: S1Fmt, S1ContextPtr, which is an intermediate address as soon as there is stage 2, S1CDMax.
const CONTEXTS: u64 = 0x1f << 59 | 0x00ff_ffff_ffff_ffc0 | 3 << 4;
/// Word 1: how context descriptors are read (S1DSS, S1CIR, S1COR, S1CSH), MEV, S1STALLD.
const STAGE_1_FIELDS: u64 = 0xff | 1 << 19 | 1 << 27;
/// Word 1: attributes that a transaction gets (MemAttr, MTCFG, ALLOCCFG, SHCFG, PRIVCFG, INSTCFG). What is missing
/// says where a translation is cached or checked: STRW, EATS, NSCFG, S2FWB, S1MPAM, CONT, DCP, DRE.
const ATTRIBUTES: u64 = 0xf << 32 | 1 << 36 | 0xf << 37 | 3 << 44 | 3 << 48 | 3 << 50;
/// Word 1: SHCFG, as the transaction has it.
const INCOMING: u64 = 1 << 44;
/// Word 2: where VTCR_EL2 has T0SZ to PS, S2AA64, S2R. Stalls (S2S) and updates of tables (S2HA, S2HD) stay off.
const WALK_SHIFT: u32 = 32;
const WALK: u64 = 0x7_ffff;
const AARCH64: u64 = 1 << 51;
const RECORDED: u64 = 1 << 58;
/// Word 3: S2TTB.
const ROOT: u64 = 0x000f_ffff_ffff_fff0;

/// Stage 2, as all streams have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stage2 {
    /// The VMID of its translations.
    pub vmid: u16,
    /// `VTCR_EL2` of a CPU that walks the same tables.
    pub vtcr: u64,
    /// Physical address of its root.
    pub root: u64,
}

impl Stage2 {
    /// Returns words 2 and 3 of every entry: they never change, so that an entry of which the SMMU reads some words
    /// before and others after a change still has this stage 2.
    fn words(&self) -> [u64; 2] {
        let walk = (self.vtcr & WALK) << WALK_SHIFT;
        [
            u64::from(self.vmid) | walk | AARCH64 | RECORDED,
            self.root & ROOT,
        ]
    }

    /// Returns the entry of a stream that stage 2 alone is in front of.
    pub fn alone(&self) -> Entry {
        self.entry(VALID | STAGE_2, INCOMING)
    }

    /// Returns an entry that is not valid: its stream is aborted.
    pub fn none(&self) -> Entry {
        self.entry(0, 0)
    }

    /// Returns what the SMMU is given for an entry of the guest's.
    pub fn behind(&self, [first, second]: GuestEntry) -> Entry {
        if first & VALID == 0 {
            return self.none();
        }
        match first & CONFIG {
            BYPASS => self.entry(VALID | STAGE_2, second & ATTRIBUTES),
            STAGE_1 => self.entry(
                VALID | NESTED | first & CONTEXTS,
                second & (STAGE_1_FIELDS | ATTRIBUTES),
            ),
            _ => self.entry(VALID | ABORT, 0),
        }
    }

    fn entry(&self, first: u64, second: u64) -> Entry {
        let [third, fourth] = self.words();
        [first, second, third, fourth, 0, 0, 0, 0]
    }
}

/// Returns whether an entry with this first word lets anything through, as far as that says.
pub fn is_open(first: u64) -> bool {
    first & (VALID | BYPASS) == VALID | BYPASS
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGE2: Stage2 = Stage2 {
        vmid: 0x12,
        vtcr: 0x8002_3558,
        root: 0x4_bfe0_2000,
    };
    /// S2AA64, S2R; 40 bits from level 1 on, of 40 bits; VMID.
    const WORD_2: u64 = 1 << 51 | 1 << 58 | 0x2_3558 << 32 | 0x12;

    #[track_caller]
    fn becomes(guest: GuestEntry, first: u64, second: u64) {
        let expected = [first, second, WORD_2, STAGE2.root, 0, 0, 0, 0];
        assert_eq!(STAGE2.behind(guest), expected, "{guest:x?}");
    }

    #[test]
    fn bypass_becomes_stage_2_alone() {
        becomes([!0xf | 1 | 4 << 1, u64::MAX], 1 | 6 << 1, 0xf_31ff << 32);
        assert_eq!(STAGE2.alone()[..2], [1 | 6 << 1, 1 << 44]);
    }

    #[test]
    fn stage_1_is_nested_and_keeps_its_own_fields() {
        let first = 0xf8ff_ffff_ffff_fff0 | 1 | 7 << 1;
        becomes(
            [!0xf | 1 | 5 << 1, u64::MAX],
            first,
            0xf_31ff << 32 | 0x808_00ff,
        );
    }

    #[test]
    fn all_else_is_aborted() {
        for config in [0, 1, 2, 3, 6, 7] {
            becomes([!0xf | 1 | config << 1; 2], 1, 0);
        }
        for config in 0..8 {
            becomes([!0xf | config << 1; 2], 0, 0);
        }
    }

    #[test]
    fn what_lets_nothing_through_is_known() {
        for (config, open) in [(0, false), (4, true), (5, true), (6, false), (7, false)] {
            let entry = STAGE2.behind([1 | config << 1; 2]);
            assert_eq!(is_open(entry[0]), open, "Config {config}");
        }
        assert!(!is_open(STAGE2.none()[0]) && is_open(STAGE2.alone()[0]));
    }
}
