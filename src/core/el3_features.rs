// SPDX-License-Identifier: Apache-2.0
//! Features that a CPU's ID registers show, and whose registers trap to EL3 where firmware has not opened
//! them: which of them are left alone.
#![forbid(unsafe_code)]

use core::fmt::{self, Display, Formatter};

/// A register of EL3 that opens features to the levels below. The value is its name for
/// SMCCC_ARCH_FEATURE_AVAILABILITY: its encoding as `MRS` has it (DEN0028, 7.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum El3Register {
    /// `SCR_EL3`.
    Scr = 0x1e_1100,
    /// `CPTR_EL3`.
    Cptr = 0x1e_1140,
    /// `MDCR_EL3`.
    Mdcr = 0x1e_1320,
    /// `MPAM3_EL3`.
    Mpam3 = 0x1e_a500,
}

impl El3Register {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Scr, Self::Cptr, Self::Mdcr, Self::Mpam3];
}

macro_rules! features {
    ($($(#[$doc:meta])* $feature:ident = $name:literal, $register:ident, $bits:expr;)+) => {
        /// A feature that EL3 opens.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum El3Feature {
            $($(#[$doc])* $feature,)+
        }

        impl El3Feature {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$feature),+];

            /// Its name in the option `no=`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$feature => $name,)+
                }
            }

            /// The register that opens it, and the bits of it that SMCCC_ARCH_FEATURE_AVAILABILITY has
            /// set where it is open, whatever they mean in the register itself.
            const fn opened_by(self) -> (El3Register, u64) {
                match self {
                    $(Self::$feature => (El3Register::$register, $bits),)+
                }
            }
        }
    };
}

features! {
    /// `FEAT_PAuth`.
    Pauth = "pauth", Scr, 1 << 17;
    /// `FEAT_MTE2`.
    Mte = "mte", Scr, 1 << 26;
    /// `FEAT_CSV2_2`: `SCXTNUM_ELx`.
    Scxtnum = "scxtnum", Scr, 1 << 25;
    /// `FEAT_FGT`.
    Fgt = "fgt", Scr, 1 << 27;
    /// `FEAT_FGT2`.
    Fgt2 = "fgt2", Scr, 1 << 59;
    /// `FEAT_HCX`.
    Hcx = "hcx", Scr, 1 << 38;
    /// `FEAT_TCR2`.
    Tcr2 = "tcr2", Scr, 1 << 43;
    /// `FEAT_SCTLR2`.
    Sctlr2 = "sctlr2", Scr, 1 << 44;
    /// `FEAT_S1PIE` and `FEAT_S1POE`.
    Pie = "pie", Scr, 1 << 45;
    /// `FEAT_D128`.
    D128 = "d128", Scr, 1 << 47;
    /// `FEAT_GCS`.
    Gcs = "gcs", Scr, 1 << 39;
    /// `FEAT_FPMR`.
    Fpmr = "fpmr", Scr, 1 << 50;
    /// `FEAT_LS64_ACCDATA`.
    Accdata = "accdata", Scr, 1 << 36;
    /// `FEAT_SVE`.
    Sve = "sve", Cptr, 1 << 8;
    /// `FEAT_SME`.
    Sme = "sme", Cptr, 1 << 12;
    /// `FEAT_AMUv1`.
    Amu = "amu", Cptr, 1 << 30;
    /// `FEAT_PMUv3`.
    Pmu = "pmu", Mdcr, 1 << 6;
    /// `FEAT_SPMU`.
    Spmu = "spmu", Mdcr, 1 << 7;
    /// `FEAT_SPE`.
    Spe = "spe", Mdcr, 1 << 12;
    /// `FEAT_TRF`.
    Trf = "trf", Mdcr, 1 << 19;
    /// `FEAT_TRBE`.
    Trbe = "trbe", Mdcr, 1 << 24;
    /// `FEAT_BRBE`.
    Brbe = "brbe", Mdcr, 1 << 32;
    /// `FEAT_Debugv8p9`: breakpoints in banks.
    Ebwe = "ebwe", Mdcr, 1 << 43;
    /// `FEAT_MPAM`.
    Mpam = "mpam", Mpam3, 1 << 63;
}

/// A set of features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct El3Features(u32);

const _: () = assert!(El3Feature::ALL.len() <= 32);

impl El3Features {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Reads names with commas between them; `None` if one is not known, or there is none.
    pub fn parse(names: &str) -> Option<Self> {
        names.split(',').try_fold(Self::NONE, |set, name| {
            let feature = El3Feature::ALL.iter().find(|f| f.name() == name)?;
            Some(set.with(*feature))
        })
    }

    /// Returns the features that are closed, as `answer` has it: the bits of a register that firmware
    /// calls available, or `None` if it does not say.
    pub fn closed(answer: impl Fn(El3Register) -> Option<u64>) -> Self {
        let answers = El3Register::ALL.map(|register| (register, answer(register)));
        let is_closed = |feature: &&El3Feature| {
            let (by, bits) = feature.opened_by();
            let mut answers = answers.iter().filter(|(register, _)| *register == by);
            answers.any(|(_, open)| open.is_some_and(|open| open & bits != bits))
        };
        let closed = El3Feature::ALL.iter().filter(is_closed);
        closed.fold(Self::NONE, |set, feature| set.with(*feature))
    }

    /// Returns the set with `feature` in it.
    #[must_use]
    pub const fn with(self, feature: El3Feature) -> Self {
        Self(self.0 | 1 << feature as u32)
    }

    /// Returns what is in one of the two.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the features in it.
    pub fn iter(self) -> impl Iterator<Item = El3Feature> {
        let all = El3Feature::ALL.iter().copied();
        all.filter(move |&feature| self.0 & 1 << feature as u32 != 0)
    }

    /// Returns whether it is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Display for El3Features {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        for (place, feature) in self.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{}", feature.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn set(features: &[El3Feature]) -> El3Features {
        let none = El3Features::NONE;
        features
            .iter()
            .fold(none, |set, feature| set.with(*feature))
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for names in ["mpam", "pauth,mte,mpam", "sve,sme,amu,trf,brbe"] {
            let features = El3Features::parse(names).expect("known names");
            assert_eq!(features.to_string(), names);
        }
        let all = set(El3Feature::ALL);
        assert_eq!(El3Features::parse(&all.to_string()), Some(all));
    }

    #[test]
    fn what_is_not_known_is_nothing() {
        for names in ["", "mpam,", ",mpam", "mpam,sve2", "MPAM"] {
            assert_eq!(El3Features::parse(names), None, "{names:?}");
        }
    }

    #[test]
    fn firmware_that_says_nothing_keeps_nothing() {
        assert!(El3Features::closed(|_| None).is_empty());
    }

    #[test]
    fn what_firmware_does_not_call_available_is_closed() {
        // All but BRBE (bit 32) of MDCR_EL3; nothing of MPAM3_EL3 is known there.
        let closed = El3Features::closed(|register| match register {
            El3Register::Mdcr => Some(!(1 << 32)),
            El3Register::Mpam3 => None,
            El3Register::Scr | El3Register::Cptr => Some(u64::MAX),
        });
        assert_eq!(closed, set(&[El3Feature::Brbe]));
        let closed = El3Features::closed(|_| Some(0));
        assert_eq!(closed, set(El3Feature::ALL));
    }
}
