// SPDX-License-Identifier: Apache-2.0
//! The guest's stage 1 (Arm ARM, AT S1E1R).

use core::arch::asm;

/// Returns the physical address of the guest's virtual `address`, if it may be read at EL1.
pub fn translate(address: u64) -> Option<u64> {
    let par: u64;
    // SAFETY: The result goes to PAR_EL1 alone, whose value the guest gets back.
    unsafe {
        asm!(
            "mrs {saved}, par_el1",
            "at s1e1r, {address}",
            "isb",
            "mrs {par}, par_el1",
            "msr par_el1, {saved}",
            saved = out(reg) _,
            address = in(reg) address,
            par = out(reg) par,
            options(nostack, preserves_flags),
        );
    }
    // PAR_EL1.F is 0 if the translation worked, PA is in bits 47:12.
    (par & 1 == 0).then_some(par & 0xffff_ffff_f000 | address & 0xfff)
}
