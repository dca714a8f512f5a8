// SPDX-License-Identifier: Apache-2.0
//! Firmware's translation regime at EL2, with `HCR_EL2.E2H` clear and pages of 4 KiB.

use crate::changes;
use baton_sysreg::{read_sysreg, write_sysreg};

/// `TCR_EL2.DS`.
const DS: u64 = 1 << 32;
/// `TTBR0_EL2.BADDR`, without concatenated tables.
const BASE: u64 = 0xffff_ffff_f000;
/// A descriptor that leads to a table where QEMU's virt has its flash.
const ELSEWHERE: u64 = 0x1000 | 3;

/// Sets or clears `TCR_EL2.DS`; returns false if the CPU does not keep it.
pub fn set_52_bits(set: bool) -> bool {
    // SAFETY: The tests' CPUs have no FEAT_LPA2, and ignore the bit.
    unsafe {
        let tcr = read_sysreg!(TCR_EL2);
        write_sysreg!(TCR_EL2, if set { tcr | DS } else { tcr & !DS });
        (read_sysreg!(TCR_EL2) & DS != 0) == set
    }
}

/// Has the root's last entry lead to a table that is not in memory; returns false if it leads anywhere.
pub fn lead_elsewhere() -> bool {
    // SAFETY: Reading them changes nothing.
    let (tcr, ttbr0) = unsafe { (read_sysreg!(TCR_EL2), read_sysreg!(TTBR0_EL2)) };
    let bits = 64 - (tcr & 0x3f);
    // A table resolves 9 bits, the root what is left of them above the page's 12.
    let entries = 1 << ((bits - 12 - 1) % 9 + 1);
    let last = ((ttbr0 & BASE) as *mut u64).wrapping_add(entries - 1);
    // SAFETY: Firmware's tables are in its memory.
    if unsafe { last.read_volatile() } & 1 != 0 {
        return false;
    }
    for (at, byte) in ELSEWHERE.to_le_bytes().into_iter().enumerate().rev() {
        // SAFETY: As above. Nobody uses an address that was not mapped, and the last byte is written last.
        unsafe { changes::change(last.cast::<u8>().add(at), byte) };
    }
    true
}
