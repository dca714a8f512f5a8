// SPDX-License-Identifier: Apache-2.0
//! TLB maintenance (Arm ARM, TLB maintenance instructions).

use super::barrier;
use core::arch::asm;

/// Drops this CPU's translations of EL2, as a firmware before us may have left some.
pub fn invalidate_el2_local() {
    barrier::dsb_ishst();
    // SAFETY: Dropped translations are walked again.
    unsafe { asm!("tlbi alle2", options(nostack, preserves_flags)) };
    barrier::dsb_ish();
    barrier::isb();
}

/// Drops this CPU's translations of EL1 and EL0, stage 1 and 2, of every VMID.
pub fn invalidate_el1_local() {
    barrier::dsb_ishst();
    // SAFETY: Dropped translations are walked again.
    unsafe { asm!("tlbi alle1", options(nostack, preserves_flags)) };
    barrier::dsb_ish();
    barrier::isb();
}

/// Drops, on every CPU, the translations of EL1 and EL0, stage 1 and 2, of the VMID that
/// `VTTBR_EL2` of this CPU names; returns when it is done everywhere.
pub fn invalidate_current_vmid() {
    barrier::dsb_ishst();
    // SAFETY: Dropped translations are walked again.
    unsafe { asm!("tlbi vmalls12e1is", options(nostack, preserves_flags)) };
    barrier::dsb_ish();
    barrier::isb();
}

/// Drops the instructions that this CPU has cached.
pub fn invalidate_instructions_local() {
    // SAFETY: Dropping instructions from the caches changes nothing but speed.
    unsafe { asm!("ic iallu", options(nostack, preserves_flags)) };
    barrier::dsb_ish();
    barrier::isb();
}
