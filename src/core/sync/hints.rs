// SPDX-License-Identifier: Apache-2.0
//! The instructions by which a CPU waits for another one (Arm ARM, A64 hints).

use core::arch::asm;

/// Wakes every CPU that waits in [`wfe`]. The barrier makes what was stored before visible first:
/// else a CPU could look, find nothing new, and wait again.
#[inline(always)]
pub fn sev() {
    // SAFETY: A barrier and a hint change no register and no memory.
    unsafe { asm!("dsb ishst", "sev", options(nostack, preserves_flags)) }
}

/// Waits for an event, which [`sev`] sends. May return without one.
#[inline(always)]
pub fn wfe() {
    // SAFETY: As above.
    unsafe { asm!("wfe", options(nostack, preserves_flags)) }
}

/// Tells the machine that this CPU is polling: an emulator lets another vCPU run.
#[inline(always)]
pub fn pause() {
    // SAFETY: As above.
    unsafe { asm!("yield", options(nostack, preserves_flags)) }
}
