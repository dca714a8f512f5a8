// SPDX-License-Identifier: Apache-2.0
//! Which registers this CPU has (Arm ARM, D24.2: the ID registers). The monitor reads the same fields
//! by code of its own: a register that only one of them knows of shows in the audit.

use baton_sysreg::read_sysreg;

/// The ID registers of a CPU. What an old CPU does not know reads as zero.
pub struct Features {
    pfr0: u64,
    pfr1: u64,
    pfr2: u64,
    isar1: u64,
    isar2: u64,
    dfr0: u64,
    mmfr1: u64,
    mmfr3: u64,
}

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident: $register:ident[$low:literal] >= $least:literal;)+) => {
        impl Features {
            $($(#[$doc])* pub fn $name(&self) -> bool {
                self.$register >> $low & 0xf >= $least
            })+
        }
    };
}

features! {
    /// `FEAT_RAS`.
    ras: pfr0[28] >= 1;
    /// `FEAT_SVE`.
    sve: pfr0[32] >= 1;
    /// `FEAT_MPAM`.
    mpam: pfr0[40] >= 1;
    /// `FEAT_AMUv1`.
    amu: pfr0[44] >= 1;
    /// `FEAT_MTE2`.
    mte: pfr1[8] >= 2;
    /// `FEAT_SME`.
    sme: pfr1[24] >= 1;
    /// `FEAT_GCS`.
    gcs: pfr1[44] >= 1;
    /// `FEAT_FPMR`.
    fpmr: pfr2[32] >= 1;
    /// `FEAT_SPE`.
    spe: dfr0[32] >= 1;
    /// `FEAT_TRF`.
    trace_filter: dfr0[40] >= 1;
    /// `FEAT_TRBE`.
    trace_buffer: dfr0[44] >= 1;
    /// `FEAT_BRBE`.
    branch_records: dfr0[52] >= 1;
    /// `FEAT_LOR`.
    ordering_regions: mmfr1[16] >= 1;
    /// `FEAT_TCR2`.
    tcr2: mmfr3[0] >= 1;
    /// `FEAT_SCTLR2`.
    sctlr2: mmfr3[4] >= 1;
    /// `FEAT_S1PIE`.
    s1pie: mmfr3[8] >= 1;
    /// `FEAT_S1POE`.
    s1poe: mmfr3[16] >= 1;
}

impl Features {
    /// Reads them on the CPU that runs this.
    pub fn of_this_cpu() -> Self {
        // SAFETY: the space of ID registers can be read at EL1; what is not allocated is zero.
        unsafe {
            Self {
                pfr0: read_sysreg!(ID_AA64PFR0_EL1),
                pfr1: read_sysreg!(ID_AA64PFR1_EL1),
                pfr2: read_sysreg!(ID_AA64PFR2_EL1),
                isar1: read_sysreg!(ID_AA64ISAR1_EL1),
                isar2: read_sysreg!(ID_AA64ISAR2_EL1),
                dfr0: read_sysreg!(ID_AA64DFR0_EL1),
                mmfr1: read_sysreg!(ID_AA64MMFR1_EL1),
                mmfr3: read_sysreg!(ID_AA64MMFR3_EL1),
            }
        }
    }

    /// On every CPU.
    pub fn always(&self) -> bool {
        true
    }

    /// Floating point and Advanced SIMD.
    pub fn fp(&self) -> bool {
        self.pfr0 >> 16 & 0xf != 0xf
    }

    /// An address key of pointer authentication, by whatever algorithm.
    pub fn address_auth(&self) -> bool {
        self.isar1 >> 4 & 0xff != 0 || self.isar2 >> 12 & 0xf != 0
    }

    /// The generic key, by whatever algorithm.
    pub fn generic_auth(&self) -> bool {
        self.isar1 >> 24 & 0xff != 0 || self.isar2 >> 8 & 0xf != 0
    }

    /// `FEAT_PMUv3`.
    pub fn pmu(&self) -> bool {
        !matches!(self.dfr0 >> 8 & 0xf, 0 | 0xf)
    }

    /// The OS double lock.
    pub fn double_lock(&self) -> bool {
        self.dfr0 >> 36 & 0xf == 0
    }

    /// Breakpoints that can be reached without banks.
    pub fn breakpoints(&self) -> u16 {
        (self.dfr0 >> 12 & 0xf) as u16 + 1
    }

    /// Watchpoints that can be reached without banks.
    pub fn watchpoints(&self) -> u16 {
        (self.dfr0 >> 20 & 0xf) as u16 + 1
    }
}
