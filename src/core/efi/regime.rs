// SPDX-License-Identifier: Apache-2.0
//! The translation regime of firmware's EL2, carried to EL1: the same tables, at the same addresses.
//!
//! Arm ARM (DDI 0487), D24.2: `TCR_EL2`, `TCR_EL1`, `SCTLR_EL1`, `HCR_EL2`.

/// `HCR_EL2.E2H`: EL2 has the registers of EL1's layout, and two ranges of addresses.
const E2H: u64 = 1 << 34;
/// `SCTLR_ELx` M, C, SA and I: MMU, data cache, stack alignment, instruction cache.
const SCTLR_CARRIED: u64 = 1 | 1 << 2 | 1 << 3 | 1 << 12;
/// `SCTLR_ELx.M`.
const MMU_ON: u64 = 1;
/// `TCR_EL1.EPD1` and TG1 of 4 KiB: there is no upper range.
const NO_UPPER_RANGE: u64 = 1 << 23 | 2 << 30;
/// T0SZ, IRGN0, ORGN0, SH0 and TG0, which both layouts have in the same places.
const TCR_SAME: u64 = 0xff3f;
/// Fields of `TCR_EL2` without E2H, and where `TCR_EL1` has them: first bit, width, and first bit there.
const TCR_MOVED: [(u32, u32, u32); 8] = [
    (16, 3, 32), // PS, IPS
    (20, 1, 37), // TBI, TBI0
    (21, 2, 39), // HA and HD
    (24, 1, 41), // HPD, HPD0
    (25, 4, 43), // HWU059 to HWU062
    (29, 1, 51), // TBID, TBID0
    (30, 1, 57), // TCMA, TCMA0
    (32, 1, 59), // DS
];

/// `ID_AA64MMFR4_EL1.E2H0` (Arm ARM, D24.2): other than zero if `HCR_EL2.E2H` cannot be cleared.
const E2H0: u64 = 0xf << 24;

/// Whether `HCR_EL2.E2H` can be clear, by `ID_AA64MMFR4_EL1`.
pub fn has_e2h0(mmfr4: u64) -> bool {
    mmfr4 & E2H0 == 0
}

/// The registers of a regime of EL2, as they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct El2Regime {
    /// `HCR_EL2`.
    pub hcr: u64,
    /// `SCTLR_EL2`.
    pub sctlr: u64,
    /// `TCR_EL2`.
    pub tcr: u64,
    /// `TTBR0_EL2`.
    pub ttbr0: u64,
    /// `MAIR_EL2`.
    pub mair: u64,
    /// `VBAR_EL2`.
    pub vbar: u64,
}

/// The registers of the same regime at EL1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct El1Regime {
    /// `SCTLR_EL1`.
    pub sctlr: u64,
    /// `TCR_EL1`.
    pub tcr: u64,
    /// `TTBR0_EL1`.
    pub ttbr0: u64,
    /// `MAIR_EL1`.
    pub mair: u64,
    /// `VBAR_EL1`.
    pub vbar: u64,
}

impl El2Regime {
    /// Returns whether the MMU is on.
    pub fn is_translated(&self) -> bool {
        self.sctlr & MMU_ON != 0
    }

    /// Returns whether EL2 runs with `HCR_EL2.E2H` set.
    pub fn has_vhe(&self) -> bool {
        self.hcr & E2H != 0
    }

    /// Returns the registers that give EL1 the same translation. `sctlr` is `SCTLR_EL1` as a reset leaves
    /// it: what is RES1 is set. WXN is dropped: memory that is writable and executable to EL2 is so to EL1.
    pub fn at_el1(&self, sctlr: u64) -> El1Regime {
        let tcr = if self.has_vhe() {
            self.tcr
        } else {
            let moved = TCR_MOVED.iter().fold(0, |tcr, &(from, width, to)| {
                tcr | (self.tcr >> from & ((1 << width) - 1)) << to
            });
            self.tcr & TCR_SAME | moved
        };
        El1Regime {
            sctlr: sctlr | self.sctlr & SCTLR_CARRIED,
            tcr: tcr & !(3 << 30) | NO_UPPER_RANGE,
            ttbr0: self.ttbr0,
            mair: self.mair,
            vbar: self.vbar,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As EDK2 2022.11 has them on a Cortex-A57: 48 bits of address, 44 bits physical.
    const PLAIN: El2Regime = El2Regime {
        hcr: 1 << 31 | 1 << 27,
        sctlr: 0x30c5_183d,
        tcr: 0x8084_3510,
        ttbr0: 0xbfff_e000,
        mair: 0xffbb_4400,
        vbar: 0x1_0000,
    };

    #[test]
    fn a_cpu_may_have_e2h_stuck() {
        // FEAT_E2H0 is there, is not, and is not but with NV1.
        for (e2h0, expected) in [(0, true), (0xe, false), (0xf, false)] {
            let others = !(0xf << 24);
            for mmfr4 in [e2h0 << 24, e2h0 << 24 | others] {
                assert_eq!(has_e2h0(mmfr4), expected, "{mmfr4:#x}");
            }
        }
    }

    #[test]
    fn fields_move_to_where_el1_has_them() {
        let el1 = PLAIN.at_el1(0x30d0_0800);
        assert_eq!(el1.sctlr, 0x30d0_180d, "M, C, SA and I");
        // T0SZ 16, write-back, inner shareable, IPS 4, EPD1, TG1.
        assert_eq!(el1.tcr, 0x3510 | 4 << 32 | 1 << 23 | 2 << 30);
        assert_eq!(
            (el1.ttbr0, el1.mair, el1.vbar),
            (0xbfff_e000, 0xffbb_4400, 0x1_0000)
        );
        for (from, to) in [
            (20, 37),
            (21, 39),
            (22, 40),
            (24, 41),
            (28, 46),
            (29, 51),
            (30, 57),
            (32, 59),
        ] {
            let regime = El2Regime {
                tcr: PLAIN.tcr | 1 << from,
                ..PLAIN
            };
            assert_eq!(regime.at_el1(0).tcr, el1.tcr | 1 << to, "bit {from}");
        }
    }

    #[test]
    fn vhe_has_them_there_already() {
        let vhe = El2Regime {
            hcr: PLAIN.hcr | E2H,
            tcr: 4 << 32 | 1 << 37 | 1 << 30 | 0x3510,
            ..PLAIN
        };
        assert_eq!(
            vhe.at_el1(0).tcr,
            4 << 32 | 1 << 37 | 0x3510 | 1 << 23 | 2 << 30
        );
    }

    #[test]
    fn wxn_is_dropped() {
        let wxn = El2Regime {
            sctlr: PLAIN.sctlr | 1 << 19,
            ..PLAIN
        };
        assert_eq!(wxn.at_el1(0), PLAIN.at_el1(0));
    }
}
