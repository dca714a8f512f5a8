// SPDX-License-Identifier: Apache-2.0
//! Hint instructions: a CPU waits, gives way, or wakes the others.

use core::arch::asm;

/// WFE: sleeps until an event, and lets an emulator run the other CPUs.
pub fn wait_for_event() {
    // SAFETY: a hint.
    unsafe { asm!("wfe", options(nomem, nostack, preserves_flags)) };
}

/// WFI: sleeps until an interrupt is pending. Interrupts stay masked.
pub fn wait_for_interrupt() {
    // SAFETY: what was stored before has to be seen by others while this CPU sleeps.
    unsafe { asm!("dsb sy", "wfi", options(nostack, preserves_flags)) };
}

/// YIELD: lets an emulator run the other CPUs.
pub fn relax() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
}

/// SEV, after all stores so far.
pub fn send_event() {
    // SAFETY: a barrier and a hint.
    unsafe { asm!("dsb ishst", "sev", options(nostack, preserves_flags)) };
}
