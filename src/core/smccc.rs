// SPDX-License-Identifier: Apache-2.0
//! Who answers a guest's SMCCC call (Arm DEN0028): decided from its function id alone.
#![forbid(unsafe_code)]

use crate::management_mode::MM_COMMUNICATE;
use arm_psci::ErrorCode;
use core::ops::RangeInclusive;

/// The instruction that made the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// HVC #0.
    Hvc,
    /// SMC #0.
    Smc,
}

/// Who answers a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The monitor's PSCI.
    Psci,
    /// The monitor's own calls (`baton-abi`).
    Baton,
    /// SMCCC_VERSION.
    Version,
    /// SMCCC_ARCH_FEATURES.
    ArchFeatures,
    /// Firmware, with all registers as they are.
    Firmware,
    /// Firmware's Management Mode, if the call's message is harmless: [`crate::management_mode::check`].
    ManagementMode,
    /// A trusted OS below, if its calls are handed on.
    TrustedOs,
    /// Nobody: NOT_SUPPORTED.
    NotSupported,
}

/// What a call of a function that is not there returns in x0: -1, of 32-bit functions too (DEN0028,
/// "Unknown Function Identifier"). Firmware answers so, and callers compare all 64 bits.
pub const NOT_SUPPORTED: u64 = u64::MAX;

/// Returns what x0 has for an error: sign-extended to all of it, as firmware does, as callers of 32-bit
/// functions compare 64 bits too.
pub fn error_answer(code: ErrorCode) -> u64 {
    i64::from(i32::from(code)) as u64
}

/// In a function id: the caller has no SVE state that must be kept (DEN0028, from version 1.3). Linux
/// 5.14 to 6.12 sets it in its calls of PSCI too.
pub const SVE_HINT: u64 = 1 << 16;

/// Function id of SMCCC_VERSION.
pub const SMCCC_VERSION: u32 = 0x8000_0000;
/// Function id of SMCCC_ARCH_FEATURES.
pub const SMCCC_ARCH_FEATURES: u32 = 0x8000_0001;

/// Owning entities (DEN0028, "Service call ranges").
mod owner {
    pub const ARCH: u32 = 0;
    pub const CPU: u32 = 1;
    pub const SIP: u32 = 2;
    pub const OEM: u32 = 3;
    pub const STANDARD_SECURE: u32 = 4;
    pub const STANDARD_HYPERVISOR: u32 = 5;
    pub const VENDOR_HYPERVISOR: u32 = 6;
    pub const TRUSTED_OS: core::ops::RangeInclusive<u32> = 50..=63;
}

/// Function numbers of the standard secure service that are PSCI's (DEN0022).
const PSCI: RangeInclusive<u32> = 0x00..=0x1f;
/// Those that give the guest nothing but data: MM_VERSION (DEN0060), TRNG (DEN0098) and PCI configuration
/// (DEN0115).
/// SDEI would have firmware call into EL2; FF-A, RMI and trusted OSes are told of memory by
/// address, and would touch the monitor's for the guest.
const HARMLESS: [RangeInclusive<u32>; 3] = [0x40..=0x40, 0x50..=0x5f, 0x130..=0x13f];
/// What every service of firmware has, and what returns data alone: how many calls there are, UID,
/// revision (DEN0028, "General service queries"); each a fast call with 32-bit arguments.
const QUERIES: [u32; 3] = [0x8000_ff00, 0x8000_ff01, 0x8000_ff03];
/// All of a function id but the owner.
const NOT_OWNER: u32 = !(0x3f << 24);

/// Returns who answers the function `id`, without [`SVE_HINT`], called by `conduit`.
pub fn service(id: u32, conduit: Conduit) -> Service {
    let number = id & 0xffff;
    match id >> 24 & 0x3f {
        owner::VENDOR_HYPERVISOR if conduit == Conduit::Hvc => Service::Baton,
        // Hypervisors' services are the monitor's to offer.
        owner::STANDARD_HYPERVISOR | owner::VENDOR_HYPERVISOR => Service::NotSupported,
        owner::STANDARD_SECURE if PSCI.contains(&number) => Service::Psci,
        _ if QUERIES.contains(&(id & NOT_OWNER)) => Service::Firmware,
        owner::STANDARD_SECURE if HARMLESS.iter().any(|range| range.contains(&number)) => {
            Service::Firmware
        }
        owner::STANDARD_SECURE if MM_COMMUNICATE.contains(&id) => Service::ManagementMode,
        owner if owner::TRUSTED_OS.contains(&owner) => Service::TrustedOs,
        owner::ARCH if id == SMCCC_VERSION => Service::Version,
        owner::ARCH if id == SMCCC_ARCH_FEATURES => Service::ArchFeatures,
        owner::ARCH | owner::CPU | owner::SIP | owner::OEM => Service::Firmware,
        _ => Service::NotSupported,
    }
}

#[cfg(test)]
mod tests {
    use super::Service::*;
    use super::*;

    #[track_caller]
    fn assert_services(expected: &[(u32, Service)]) {
        for &(id, expected) in expected {
            let seen = service(id, Conduit::Smc);
            assert_eq!(seen, expected, "function {id:#x}");
        }
    }

    #[test]
    fn psci_is_the_monitors_in_both_widths() {
        assert_services(&[
            (0x8400_0000, Psci),
            (0xc400_0003, Psci),
            (0xc400_001f, Psci),
            (0x8400_0020, NotSupported),
        ]);
    }

    #[test]
    fn of_the_standard_service_only_what_returns_data_goes_on() {
        assert_services(&[
            (0x8400_0050, Firmware),
            (0x8400_0130, Firmware),
            (0x8400_0040, Firmware),
            (0x8400_0041, ManagementMode),
            (0xc400_0041, ManagementMode),
            // A yielding call, and a reserved bit.
            (0x4400_0041, NotSupported),
            (0xc402_0041, NotSupported),
            // SDEI_VERSION and the last number that is SDEI's, FFA_VERSION, RMI_VERSION.
            (0xc400_0020, NotSupported),
            (0xc400_003f, NotSupported),
            (0x8400_0063, NotSupported),
            (0xc400_0150, NotSupported),
        ]);
    }

    #[test]
    fn general_queries_go_on_to_every_service_of_firmware() {
        assert_services(&[
            (0x8400_ff00, Firmware),
            (0x8400_ff01, Firmware),
            (0x8400_ff03, Firmware),
            // Trusted applications and trusted OSes.
            (0xb000_ff01, Firmware),
            (0xbf00_ff01, Firmware),
            (0xbf00_ff03, Firmware),
            // Not of that form: another number, 64 bits, a yielding call, a reserved bit.
            (0x8400_ff02, NotSupported),
            (0xc400_ff01, NotSupported),
            (0xbf02_ff01, TrustedOs),
            (0xb200_0004, TrustedOs),
            (0x3f00_ff01, TrustedOs),
        ]);
    }

    #[test]
    fn hypervisors_services_never_reach_firmware() {
        for id in [0x8500_ff01, 0xc500_0020, 0x8600_ff01, 0xc600_0001] {
            assert_eq!(service(id, Conduit::Smc), NotSupported, "{id:#x} by SMC");
        }
        assert_eq!(service(0x8600_ff01, Conduit::Hvc), Baton);
        assert_eq!(service(0x8500_ff01, Conduit::Hvc), NotSupported);
    }

    #[test]
    fn architecture_calls_go_on_but_for_version_and_features() {
        assert_services(&[
            (SMCCC_VERSION, Version),
            (SMCCC_ARCH_FEATURES, ArchFeatures),
            (0x8000_8000, Firmware),
            (0x8000_0002, Firmware),
            (0x8100_0000, Firmware),
            (0xc200_0001, Firmware),
            (0xc300_0001, Firmware),
            (0x8700_0000, NotSupported),
        ]);
    }
}
