// SPDX-License-Identifier: Apache-2.0
//! Firmware's ACPI tables, changed where they are (ACPI 6.5, 5.2). They are taken to be right before.

use crate::changes;
use crate::firmware::Firmware;

/// Offsets in the RSDP, in the header of a table, and of what comes behind that.
const XSDT: usize = 24;
const LENGTH: usize = 4;
const CHECKSUM: usize = 9;
const HEADER: usize = 36;
/// FADT: ARM_BOOT_ARCH.
pub const ARM_BOOT_ARCH: usize = 129;
/// MADT: the first entry; the type of GICD, and the offset of the version in it.
pub const MADT_ENTRIES: usize = 44;
const GICD: u8 = 0xc;
const GICD_VERSION: usize = 20;

/// A table in memory.
#[derive(Clone, Copy)]
struct Table(*mut u8);

impl Table {
    fn find(firmware: &Firmware, signature: [u8; 4]) -> Option<Self> {
        let rsdp = Self(firmware.rsdp()?);
        let xsdt = Self(rsdp.u64_at(XSDT) as *mut u8);
        let mut entries = (HEADER..xsdt.length()).step_by(8);
        entries.find_map(|at| {
            let table = Self(xsdt.u64_at(at) as *mut u8);
            ((0..4).map(|at| table.byte(at)).eq(signature)).then_some(table)
        })
    }

    fn byte(self, at: usize) -> u8 {
        // SAFETY: Firmware's tables are as long as they say, and in memory.
        unsafe { self.0.add(at).read() }
    }

    fn u64_at(self, at: usize) -> u64 {
        // SAFETY: As above.
        unsafe { self.0.add(at).cast::<u64>().read_unaligned() }
    }

    fn length(self) -> usize {
        self.u64_at(LENGTH) as u32 as usize
    }

    fn change(self, at: usize, byte: u8) {
        // SAFETY: As above, and nobody reads them meanwhile.
        unsafe { changes::change(self.0.add(at), byte) };
    }

    fn mend_checksum(self) {
        let bytes = (0..self.length()).filter(|at| *at != CHECKSUM);
        let sum = bytes.fold(0_u8, |sum, at| sum.wrapping_add(self.byte(at)));
        self.change(CHECKSUM, sum.wrapping_neg());
    }
}

/// Changes the byte at `at` of a table, and mends the checksum; returns false if there is no such table.
pub fn change(
    firmware: &Firmware,
    signature: [u8; 4],
    at: usize,
    new: impl FnOnce(u8) -> u8,
) -> bool {
    let table = Table::find(firmware, signature);
    table.is_some_and(|table| {
        table.change(at, new(table.byte(at)));
        table.mend_checksum();
        true
    })
}

/// Gives a table a signature that no table has.
pub fn rename(firmware: &Firmware, signature: [u8; 4]) -> bool {
    change(firmware, signature, 0, |_| b'X')
}

/// Has the bytes of a table add up to 1.
pub fn break_checksum(firmware: &Firmware, signature: [u8; 4]) -> bool {
    let table = Table::find(firmware, signature);
    table.is_some_and(|table| {
        table.change(CHECKSUM, table.byte(CHECKSUM).wrapping_add(1));
        true
    })
}

/// Has the MADT name another version of the interrupt controller.
pub fn change_gic_version(firmware: &Firmware, version: u8) -> bool {
    let Some(madt) = Table::find(firmware, *b"APIC") else {
        return false;
    };
    let mut at = MADT_ENTRIES;
    while at < madt.length() && madt.byte(at) != GICD {
        at += usize::from(madt.byte(at + 1));
    }
    at < madt.length() && change(firmware, *b"APIC", at + GICD_VERSION, |_| version)
}
