// SPDX-License-Identifier: Apache-2.0
//! What can be wrong.

use crate::firmware::Firmware;
use crate::{acpi, changes, hooks, memory, regime};

/// A fault, by its name in the load options.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `no-madt`: no table has the signature of the MADT.
    NoMadt,
    /// `madt-checksum`: the bytes of the MADT do not add up to 0.
    MadtChecksum,
    /// `madt-entry`: the first entry of the MADT has no bytes.
    MadtEntry,
    /// `gic-version`: the interrupt controller is one of version 9.
    GicVersion,
    /// `no-psci`: the FADT has no PSCI.
    NoPsci,
    /// `psci-hvc`: the FADT has PSCI by HVC.
    PsciHvc,
    /// `no-memory`: of every 2 MiB the first page is taken.
    NoMemory,
    /// `tables-52-bits`: `TCR_EL2.DS` is set, which a CPU without 52 bits of address ignores.
    Tables52Bits,
    /// `late-tables-52-bits`: the same, but when the monitor waits already.
    LateTables52Bits,
    /// `table-elsewhere`: a table of firmware's, for addresses that nobody uses, is not in memory.
    TableElsewhere,
    /// `refuse-once`: firmware refuses the first ExitBootServices, as its memory map has changed.
    RefuseOnce,
    /// `refuse-twice`: and the second.
    RefuseTwice,
    /// `old-shim`: ExitBootServices is what it was before the monitor when an image has been loaded, as with a
    /// shim older than 16.
    OldShim,
    /// `return`: nothing; the application returns.
    Return,
}

const NAMES: [(&str, Fault); 14] = [
    ("no-madt", Fault::NoMadt),
    ("madt-checksum", Fault::MadtChecksum),
    ("madt-entry", Fault::MadtEntry),
    ("gic-version", Fault::GicVersion),
    ("no-psci", Fault::NoPsci),
    ("psci-hvc", Fault::PsciHvc),
    ("no-memory", Fault::NoMemory),
    ("tables-52-bits", Fault::Tables52Bits),
    ("late-tables-52-bits", Fault::LateTables52Bits),
    ("table-elsewhere", Fault::TableElsewhere),
    ("refuse-once", Fault::RefuseOnce),
    ("refuse-twice", Fault::RefuseTwice),
    ("old-shim", Fault::OldShim),
    ("return", Fault::Return),
];

impl Fault {
    /// Reads load options.
    pub fn named(options: &str) -> Option<Self> {
        let name = options.trim().strip_prefix("fault=")?;
        let found = NAMES.iter().find(|(known, _)| *known == name)?;
        Some(found.1)
    }

    /// Causes it, before the monitor is started; returns false if there is nothing to damage.
    pub fn cause(self, firmware: &Firmware) -> bool {
        match self {
            Self::NoMadt => acpi::rename(firmware, *b"APIC"),
            Self::MadtChecksum => acpi::break_checksum(firmware, *b"APIC"),
            Self::MadtEntry => acpi::change(firmware, *b"APIC", acpi::MADT_ENTRIES + 1, |_| 0),
            Self::GicVersion => acpi::change_gic_version(firmware, 9),
            Self::NoPsci => acpi::change(firmware, *b"FACP", acpi::ARM_BOOT_ARCH, |_| 0),
            Self::PsciHvc => {
                acpi::change(firmware, *b"FACP", acpi::ARM_BOOT_ARCH, |flags| flags | 2)
            }
            Self::NoMemory => memory::scatter(firmware),
            Self::Tables52Bits => regime::set_52_bits(true),
            Self::TableElsewhere => regime::lead_elsewhere(),
            Self::OldShim => hooks::refuse_exit(firmware, 0),
            Self::RefuseOnce => hooks::refuse_exit(firmware, 1),
            Self::RefuseTwice => hooks::refuse_exit(firmware, 2),
            Self::LateTables52Bits | Self::Return => true,
        }
    }

    /// The monitor loads the next loader: mends what that must not find, or causes what comes late.
    pub fn next_is_loaded(self, firmware: &Firmware) {
        match self {
            Self::NoMemory => memory::give_back(firmware),
            Self::Tables52Bits => {
                regime::set_52_bits(false);
            }
            Self::LateTables52Bits => {
                regime::set_52_bits(true);
            }
            Self::OldShim => hooks::take_exit_back(firmware),
            _ => changes::undo(),
        }
    }
}
