// SPDX-License-Identifier: Apache-2.0
//! PSCI, from the FADT (5.2.9).

use super::error::AcpiError;
use super::table::REVISION;
use crate::devicetree::psci::{Conduit, Psci, PsciVersion};
use crate::little_endian::{u16_at, u32_at, u64_at};

/// ARM_BOOT_ARCH (5.2.9.4), and its flags.
const ARM_BOOT_ARCH: usize = 129;
const PSCI_COMPLIANT: u16 = 1 << 0;
const PSCI_USE_HVC: u16 = 1 << 1;
/// DSDT and X_DSDT: the physical address in 32 bits, and in 64, which counts where it is not 0.
const DSDT: usize = 40;
const X_DSDT: usize = 140;
/// FADT Minor Version: the low half, the high one is of errata.
const MINOR: usize = 131;

/// Returns firmware's PSCI; `None` if the FADT says that there is none.
///
/// ACPI knows PSCI from 0.2 on; the call `PSCI_VERSION` returns the exact version.
///
/// # Errors
///
/// [`AcpiError::Fadt`] if the table is of a version that says nothing of PSCI.
pub fn psci(fadt: &[u8]) -> Result<Option<Psci>, AcpiError> {
    let byte = |at| fadt.get(at).copied().unwrap_or_default();
    let (major, minor) = (byte(REVISION), byte(MINOR) & 0xf);
    let flags = u16_at(fadt, ARM_BOOT_ARCH).filter(|_| (major, minor) >= (5, 1));
    let flags = flags.ok_or(AcpiError::Fadt {
        major,
        minor,
        length: fadt.len(),
    })?;
    let conduit = if flags & PSCI_USE_HVC == 0 {
        Conduit::Smc
    } else {
        Conduit::Hvc
    };
    Ok((flags & PSCI_COMPLIANT != 0).then_some(Psci {
        conduit,
        version: PsciVersion::V0_2,
    }))
}

/// Returns the physical address of the DSDT, if there is one.
pub fn dsdt(fadt: &[u8]) -> Option<u64> {
    let wide = u64_at(fadt, X_DSDT).filter(|&address| address != 0);
    let narrow = u32_at(fadt, DSDT).filter(|&address| address != 0);
    wide.or(narrow.map(u64::from))
}

#[cfg(test)]
mod tests;
