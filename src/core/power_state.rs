// SPDX-License-Identifier: Apache-2.0
//! The `power_state` argument of CPU_SUSPEND (DEN0022), in both formats.
#![forbid(unsafe_code)]

/// The format of `power_state` that firmware takes (PSCI_FEATURES of CPU_SUSPEND, bit 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// State type in bit 16, power level in bits 25:24.
    Original,
    /// State type in bit 30, the state's id in bits 27:0.
    Extended,
}

/// What a CPU keeps when it suspends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Everything: the call returns.
    Standby,
    /// Nothing: it begins at the entry point.
    PowerDown,
}

impl Format {
    /// Returns the format that `flags`, what PSCI_FEATURES returns for CPU_SUSPEND, name.
    pub fn from_features(flags: u32) -> Self {
        if flags & 1 << 1 == 0 {
            Self::Original
        } else {
            Self::Extended
        }
    }

    /// Returns what `power_state` asks for, or `None` if a bit is set that must be zero.
    pub fn depth(self, power_state: u32) -> Option<Depth> {
        let (state_type, zero) = match self {
            Self::Original => (1 << 16, 0xfcfe_0000),
            Self::Extended => (1 << 30, 0xb000_0000),
        };
        match (power_state & zero, power_state & state_type) {
            (0, 0) => Some(Depth::Standby),
            (0, _) => Some(Depth::PowerDown),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn original() {
        let format = Format::from_features(0);
        assert_eq!(format.depth(0), Some(Depth::Standby));
        assert_eq!(format.depth(0x0300_ffff), Some(Depth::Standby));
        assert_eq!(format.depth(0x0001_0000), Some(Depth::PowerDown));
        for bit in (17..24).chain(26..32) {
            assert_eq!(format.depth(1 << bit), None, "bit {bit}");
        }
    }

    #[test]
    fn extended() {
        let format = Format::from_features(2);
        assert_eq!(format.depth(0x0fff_ffff), Some(Depth::Standby));
        assert_eq!(format.depth(0x4000_0001), Some(Depth::PowerDown));
        for bit in [28, 29, 31] {
            assert_eq!(format.depth(1 << bit), None, "bit {bit}");
        }
    }
}
