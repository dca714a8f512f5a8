// SPDX-License-Identifier: Apache-2.0
//! Barriers, events and hints (Arm ARM, A64 base instructions).

use baton_sysreg::instruction;

macro_rules! barriers {
    ($($(#[$doc:meta])* $name:ident($($text:tt)+);)+) => {
        $($(#[$doc])*
        #[inline(always)]
        pub fn $name() {
            // SAFETY: A barrier or a hint changes no register and no memory.
            unsafe { $(instruction!($text);)+ }
        })+
    };
}

barriers! {
    /// Waits until all memory accesses, cache and TLB maintenance of this CPU are complete.
    dsb_sy("dsb sy");
    /// As [`dsb_sy`], as far as the inner shareable domain (all CPUs) is concerned.
    dsb_ish("dsb ish");
    /// As [`dsb_sy`], as far as this CPU alone is concerned.
    dsb_nsh("dsb nsh");
    /// As [`dsb_ish`], for stores alone.
    dsb_ishst("dsb ishst");
    /// Keeps all memory accesses before it in order with all behind it.
    dmb_sy("dmb sy");
    /// Makes writes to system registers take effect before the next instruction.
    isb("isb");
    /// Wakes every CPU that waits in [`wfe`], once it can see what was stored before: otherwise it
    /// would look, find nothing, and wait again.
    sev("dsb ishst" "sev");
    /// Waits for an event; may return without one.
    wfe("wfe");
    /// Waits for an interrupt, once all CPUs can see what was stored before; may return without
    /// one.
    wfi("dsb sy" "wfi");
    /// Tells the machine that this CPU is polling. An emulator lets another vCPU run.
    pause("yield");
    /// Waits until the samples of the statistical profiling extension are in memory.
    drain_samples("psb csync" "dsb sy");
    /// Waits until the trace of the trace buffer extension is in memory. Where trace is prohibited, one
    /// TSB CSYNC may leave some behind, and two in a row do not (`Workaround::TwoTraceBarriers`).
    drain_trace("tsb csync; tsb csync" "dsb sy");
}

/// Waits forever.
pub fn halt() -> ! {
    loop {
        wfe();
    }
}
