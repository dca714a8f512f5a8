// SPDX-License-Identifier: Apache-2.0
//! The features of a CPU that decide which registers it has, and which bits of them to set.

use baton_core::el3_features::{El3Feature, El3Features};
use baton_sysreg::read_sysreg;

/// The ID registers of one CPU (Arm ARM, D24.2). Registers that an old CPU does not know read as
/// zero there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// `ID_AA64PFR0_EL1`.
    pub pfr0: u64,
    /// `ID_AA64PFR1_EL1`.
    pub pfr1: u64,
    /// `ID_AA64PFR2_EL1`.
    pub pfr2: u64,
    /// `ID_AA64ISAR1_EL1`.
    pub isar1: u64,
    /// `ID_AA64ISAR2_EL1`.
    pub isar2: u64,
    /// `ID_AA64ISAR3_EL1`.
    pub isar3: u64,
    /// `ID_AA64DFR0_EL1`.
    pub dfr0: u64,
    /// `ID_AA64DFR1_EL1`.
    pub dfr1: u64,
    /// `ID_AA64MMFR0_EL1`.
    pub mmfr0: u64,
    /// `ID_AA64MMFR1_EL1`.
    pub mmfr1: u64,
    /// `ID_AA64MMFR3_EL1`.
    pub mmfr3: u64,
    /// `ID_AA64SMFR0_EL1`.
    pub smfr0: u64,
}

/// Returns the four-bit field of `register` whose lowest bit is `low`.
const fn field(register: u64, low: u32) -> u64 {
    register >> low & 0xf
}

/// Lowers the four-bit field of `register` whose lowest bit is `low` to `most`.
const fn limit(register: &mut u64, low: u32, most: u64) {
    if field(*register, low) > most {
        *register = *register & !(0xf << low) | most << low;
    }
}

macro_rules! present {
    ($($(#[$doc:meta])* $name:ident: $register:ident[$low:literal] >= $least:literal;)+) => {
        impl Features {
            $($(#[$doc])*
            pub const fn $name(&self) -> bool {
                field(self.$register, $low) >= $least
            })+
        }
    };
}

present! {
    /// AArch32 at EL1.
    aarch32_el1: pfr0[4] >= 2;
    /// System registers for the GIC's CPU interface.
    gic_registers: pfr0[24] >= 1;
    /// `FEAT_RAS`.
    ras: pfr0[28] >= 1;
    /// `FEAT_SVE`.
    sve: pfr0[32] >= 1;
    /// `FEAT_AMUv1`.
    amu: pfr0[44] >= 1;
    /// `FEAT_MTE2`: tags in memory, and registers for them.
    mte: pfr1[8] >= 2;
    /// `FEAT_SME`.
    sme: pfr1[24] >= 1;
    /// `FEAT_SME2`: the register ZT0.
    sme2: pfr1[24] >= 2;
    /// `FEAT_GCS`.
    gcs: pfr1[44] >= 1;
    /// `FEAT_FPMR`.
    fpmr: pfr2[32] >= 1;
    /// `FEAT_LS64`.
    ls64: isar1[60] >= 1;
    /// `FEAT_LS64_V`.
    ls64_v: isar1[60] >= 2;
    /// `FEAT_LS64_ACCDATA`.
    ls64_accdata: isar1[60] >= 3;
    /// `FEAT_MOPS`.
    mops: isar2[16] >= 1;
    /// `FEAT_SYSREG128`.
    sysreg128: isar2[32] >= 1;
    /// `FEAT_SYSINSTR128`.
    sysinstr128: isar2[36] >= 1;
    /// `FEAT_PAuth_LR` with `PACM`.
    pacm: isar3[12] >= 1;
    /// `FEAT_Debugv8p9`: breakpoints in banks.
    debug_banks: dfr0[0] >= 11;
    /// `FEAT_SPE`.
    spe: dfr0[32] >= 1;
    /// `FEAT_SPEv1p2`.
    spe_v1p2: dfr0[32] >= 3;
    /// `FEAT_TRF`: trace filters.
    trace_filter: dfr0[40] >= 1;
    /// `FEAT_TRBE`.
    trace_buffer: dfr0[44] >= 1;
    /// `FEAT_BRBE`.
    branch_records: dfr0[52] >= 1;
    /// `FEAT_SPMU`.
    system_pmu: dfr1[32] >= 1;
    /// `FEAT_PMUv3_ICNTR`: a counter of instructions.
    pmu_instruction_counter: dfr1[36] >= 1;
    /// `FEAT_FGT`: fine-grained traps.
    fine_traps: mmfr0[56] >= 1;
    /// `FEAT_FGT2`.
    fine_traps2: mmfr0[56] >= 2;
    /// `FEAT_VHE`, and with it the virtual timer of EL2.
    vhe: mmfr1[8] >= 1;
    /// `FEAT_LOR`: limited ordering regions.
    ordering_regions: mmfr1[16] >= 1;
    /// `FEAT_HCX`.
    hcrx: mmfr1[40] >= 1;
    /// `FEAT_TCR2`.
    tcr2: mmfr3[0] >= 1;
    /// `FEAT_SCTLR2`.
    sctlr2: mmfr3[4] >= 1;
    /// `FEAT_S1PIE`.
    s1pie: mmfr3[8] >= 1;
    /// `FEAT_S1POE`.
    s1poe: mmfr3[16] >= 1;
    /// `FEAT_S2POE`.
    s2poe: mmfr3[20] >= 1;
    /// `FEAT_D128`.
    d128: mmfr3[32] >= 1;
    /// `FEAT_ANERR` or `FEAT_SNERR`: how asynchronous errors on Normal memory are taken.
    anerr: mmfr3[44] >= 2;
    /// `FEAT_ADERR`: the same for Device memory.
    aderr: mmfr3[56] >= 2;
}

impl Features {
    /// Reads the ID registers of the CPU that runs this.
    pub fn of_this_cpu() -> Self {
        // SAFETY: The whole space of ID registers can be read at EL2; what is not allocated is
        // zero.
        unsafe {
            Self {
                pfr0: read_sysreg!(ID_AA64PFR0_EL1),
                pfr1: read_sysreg!(ID_AA64PFR1_EL1),
                pfr2: read_sysreg!(ID_AA64PFR2_EL1),
                isar1: read_sysreg!(ID_AA64ISAR1_EL1),
                isar2: read_sysreg!(ID_AA64ISAR2_EL1),
                isar3: read_sysreg!(ID_AA64ISAR3_EL1),
                dfr0: read_sysreg!(ID_AA64DFR0_EL1),
                dfr1: read_sysreg!(ID_AA64DFR1_EL1),
                mmfr0: read_sysreg!(ID_AA64MMFR0_EL1),
                mmfr1: read_sysreg!(ID_AA64MMFR1_EL1),
                mmfr3: read_sysreg!(ID_AA64MMFR3_EL1),
                smfr0: read_sysreg!(ID_AA64SMFR0_EL1),
            }
        }
    }

    /// Returns what is left without the features of `closed`.
    #[must_use]
    pub fn without(mut self, closed: El3Features) -> Self {
        closed.iter().for_each(|feature| self.remove(feature));
        self
    }

    /// Returns the features that EL3 has to open for this CPU.
    pub fn opened_by_el3(&self) -> El3Features {
        let all = El3Feature::ALL.iter();
        let there = all.filter(|&&feature| {
            let without = self.without(El3Features::NONE.with(feature));
            without != *self
        });
        there.fold(El3Features::NONE, |set, &feature| set.with(feature))
    }

    fn remove(&mut self, feature: El3Feature) {
        match feature {
            El3Feature::Pauth => {
                self.isar1 &= !(0xff << 24 | 0xff << 4);
                self.isar2 &= !(0xff << 8);
            }
            El3Feature::Mte => limit(&mut self.pfr1, 8, 1),
            El3Feature::Scxtnum => {
                limit(&mut self.pfr0, 56, 1);
                limit(&mut self.pfr1, 32, 1);
            }
            El3Feature::Fgt => limit(&mut self.mmfr0, 56, 0),
            El3Feature::Fgt2 => limit(&mut self.mmfr0, 56, 1),
            El3Feature::Hcx => limit(&mut self.mmfr1, 40, 0),
            El3Feature::Tcr2 => limit(&mut self.mmfr3, 0, 0),
            El3Feature::Sctlr2 => limit(&mut self.mmfr3, 4, 0),
            El3Feature::Pie => {
                limit(&mut self.mmfr3, 8, 0);
                limit(&mut self.mmfr3, 16, 0);
                limit(&mut self.mmfr3, 20, 0);
            }
            El3Feature::D128 => limit(&mut self.mmfr3, 32, 0),
            El3Feature::Gcs => limit(&mut self.pfr1, 44, 0),
            El3Feature::Fpmr => limit(&mut self.pfr2, 32, 0),
            El3Feature::Accdata => limit(&mut self.isar1, 60, 2),
            El3Feature::Sve => limit(&mut self.pfr0, 32, 0),
            El3Feature::Sme => limit(&mut self.pfr1, 24, 0),
            El3Feature::Amu => limit(&mut self.pfr0, 44, 0),
            El3Feature::Pmu => limit(&mut self.dfr0, 8, 0),
            El3Feature::Spmu => limit(&mut self.dfr1, 32, 0),
            El3Feature::Spe => limit(&mut self.dfr0, 32, 0),
            El3Feature::Trf => limit(&mut self.dfr0, 40, 0),
            El3Feature::Trbe => limit(&mut self.dfr0, 44, 0),
            El3Feature::Brbe => limit(&mut self.dfr0, 52, 0),
            El3Feature::Ebwe => limit(&mut self.dfr0, 0, 10),
            El3Feature::Mpam => {
                limit(&mut self.pfr0, 40, 0);
                limit(&mut self.pfr1, 16, 0);
            }
        }
    }

    /// Returns whether there are floating point and vector registers.
    pub const fn fp(&self) -> bool {
        field(self.pfr0, 16) != 0xf
    }

    /// Returns whether pointers can be authenticated with an address key, by whatever algorithm.
    pub const fn address_auth(&self) -> bool {
        field(self.isar1, 4) != 0 || field(self.isar1, 8) != 0 || field(self.isar2, 12) != 0
    }

    /// Returns whether there is the generic key, by whatever algorithm.
    pub const fn generic_auth(&self) -> bool {
        field(self.isar1, 24) != 0 || field(self.isar1, 28) != 0 || field(self.isar2, 8) != 0
    }

    /// Returns whether there are `SCXTNUM_ELx` (`FEAT_CSV2_2`, `FEAT_CSV2_1p2`).
    pub const fn scxtnum(&self) -> bool {
        let csv2 = field(self.pfr0, 56);
        csv2 >= 2 || csv2 == 1 && field(self.pfr1, 32) >= 2
    }

    /// Returns whether memory can be partitioned (`FEAT_MPAM`, version 0.1 or 1.x).
    pub const fn mpam(&self) -> bool {
        field(self.pfr0, 40) != 0 || field(self.pfr1, 16) != 0
    }

    /// Returns the version of the PMU as `ID_AA64DFR0_EL1.PMUVer` counts it, or `None` without one
    /// that the architecture describes.
    pub const fn pmu(&self) -> Option<u64> {
        match field(self.dfr0, 8) {
            0 | 0xf => None,
            version => Some(version),
        }
    }

    /// Returns whether counting can be for all threads of a core (`FEAT_MTPMU`).
    pub const fn multi_thread_pmu(&self) -> bool {
        field(self.dfr0, 48) == 1
    }

    /// Returns whether there is an OS double lock (`FEAT_DoubleLock`).
    pub const fn double_lock(&self) -> bool {
        field(self.dfr0, 36) == 0
    }

    /// Returns the number of breakpoints.
    pub const fn breakpoints(&self) -> u64 {
        Self::debug_count(field(self.dfr0, 12), self.dfr1 >> 8 & 0xff)
    }

    /// Returns the number of watchpoints.
    pub const fn watchpoints(&self) -> u64 {
        Self::debug_count(field(self.dfr0, 20), self.dfr1 >> 16 & 0xff)
    }

    /// Both fields are a count less one; the wide one is used when there are more than 16.
    const fn debug_count(narrow: u64, wide: u64) -> u64 {
        if wide != 0 { wide + 1 } else { narrow + 1 }
    }

    /// Returns whether all of A64 runs in streaming mode (`FEAT_SME_FA64`).
    pub const fn sme_fa64(&self) -> bool {
        self.sme() && self.smfr0 >> 63 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn cortex_a57_has_the_first_architecture_only() {
        // QEMU's cortex-a57: PFR0 with GIC registers, PMUv3, 6 breakpoints and 4 watchpoints.
        let a57 = Features {
            pfr0: 0x0100_2222,
            dfr0: 0x1030_5106,
            mmfr0: 0x1124,
            ..Features::default()
        };
        assert!(a57.fp() && a57.gic_registers() && a57.aarch32_el1() && a57.double_lock());
        assert!(!a57.sve() && !a57.sme() && !a57.ras() && !a57.mpam() && !a57.address_auth());
        assert!(!a57.fine_traps() && !a57.hcrx() && !a57.vhe() && !a57.spe());
        assert_eq!(a57.pmu(), Some(1));
        assert_eq!((a57.breakpoints(), a57.watchpoints()), (6, 4));
    }

    #[test]
    fn no_floating_point_and_no_pmu_are_all_ones() {
        let none = Features {
            pfr0: 0xff << 16,
            dfr0: 0xf << 8 | 0xf << 36,
            ..Features::default()
        };
        assert!(!none.fp());
        assert_eq!(none.pmu(), None);
        assert!(!none.double_lock());
    }

    #[test]
    fn more_than_16_breakpoints_are_counted_in_dfr1() {
        let many = Features {
            dfr0: 0xb | 0xf << 12 | 0xf << 20,
            dfr1: 31 << 8 | 0x3f << 16,
            ..Features::default()
        };
        assert!(many.debug_banks());
        assert_eq!((many.breakpoints(), many.watchpoints()), (32, 64));
    }

    #[test]
    fn minor_versions_are_found_in_pfr1() {
        let minor = Features {
            pfr0: 1 << 28 | 1 << 56,
            pfr1: 1 << 12 | 1 << 16 | 2 << 32,
            ..Features::default()
        };
        assert!(minor.mpam() && minor.scxtnum());
    }

    #[test]
    fn each_feature_can_be_closed_by_itself() {
        crate::vcpu::fake::max();
        let max = Features::of_this_cpu();
        let there: Vec<_> = max.opened_by_el3().iter().collect();
        assert_eq!(there, El3Feature::ALL, "the CPU has all of them");
        for &feature in El3Feature::ALL {
            let without = max.without(El3Features::NONE.with(feature));
            let left = without.opened_by_el3();
            assert!(left.iter().all(|left| left != feature), "{feature:?}");
            // FEAT_FGT2 is more of FEAT_FGT.
            let gone = if feature == El3Feature::Fgt { 2 } else { 1 };
            assert_eq!(left.iter().count(), there.len() - gone, "{feature:?}");
        }
    }

    #[test]
    fn a_lower_version_than_what_is_closed_stays() {
        let features = Features {
            mmfr0: 1 << 56,
            isar1: 2 << 60,
            dfr0: 9,
            pfr0: 1 << 56,
            pfr1: 1 << 8,
            ..Features::default()
        };
        assert!(features.opened_by_el3().iter().eq([El3Feature::Fgt]));
        for feature in [El3Feature::Fgt2, El3Feature::Accdata, El3Feature::Ebwe] {
            let closed = El3Features::NONE.with(feature);
            assert_eq!(features.without(closed), features, "{feature:?}");
        }
    }

    #[test]
    fn pointer_authentication_is_gone_with_both_kinds_of_keys() {
        let features = Features {
            isar1: 1 << 4 | 1 << 24,
            isar2: 1 << 8 | 1 << 12,
            ..Features::default()
        };
        let without = features.without(El3Features::NONE.with(El3Feature::Pauth));
        assert!(!without.address_auth() && !without.generic_auth());
    }
}
