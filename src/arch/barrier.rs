// SPDX-License-Identifier: Apache-2.0
//! Barriers, events and hints (Arm ARM, A64 base instructions).

use core::arch::asm;

macro_rules! instruction {
    ($(#[$doc:meta])* $name:ident, $text:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name() {
            // SAFETY: A barrier or a hint changes no register and no memory.
            unsafe { asm!($text, options(nostack, preserves_flags)) }
        }
    };
}

instruction!(
    /// Waits until all memory accesses, cache and TLB maintenance of this CPU are complete.
    dsb_sy, "dsb sy"
);
instruction!(
    /// As [`dsb_sy`], as far as the inner shareable domain (all CPUs) is concerned.
    dsb_ish, "dsb ish"
);
instruction!(
    /// As [`dsb_ish`], for stores alone.
    dsb_ishst, "dsb ishst"
);
instruction!(
    /// Makes what was written to system registers count from the next instruction on.
    isb, "isb"
);
instruction!(
    /// Wakes every CPU that waits in [`wfe`], when it can see what was stored before: else it would
    /// look, find nothing, and wait again.
    sev, "dsb ishst\n    sev"
);
instruction!(
    /// Waits for an event; may return without one.
    wfe, "wfe"
);
instruction!(
    /// Waits for an interrupt, when all can see what was stored before; may return without one.
    wfi, "dsb sy\n    wfi"
);
instruction!(
    /// Tells the machine that this CPU is polling. An emulator lets another vCPU run.
    pause, "yield"
);

/// Waits for ever.
pub fn halt() -> ! {
    loop {
        wfe();
    }
}
