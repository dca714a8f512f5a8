// SPDX-License-Identifier: Apache-2.0
//! Registers that there are several of: breakpoints, watchpoints, event counters.

use super::features::Features;
use super::sheet::{Index, Page};
use super::sysreg::{isb, read, write};
use core::arch::asm;

/// An address at EL0 that nothing executes or accesses.
const ADDRESS: u64 = 0x7f_1234_5000;
/// DBGBCR<n>_EL1: E, PMC: at EL0, BAS: the whole word.
const BREAKPOINT: u64 = 1 | 2 << 1 | 0xf << 5;
/// DBGWCR<n>_EL1: E, PAC: at EL0, LSC: loads and stores, BAS: a double word.
const WATCHPOINT: u64 = 1 | 2 << 1 | 3 << 3 | 0xff << 5;
/// DBGBCR<n>_EL1.E, DBGWCR<n>_EL1.E: other fields may be fixed.
const ENABLE: u64 = 1;
/// PMEVTYPER<n>_EL0: not at EL0, software increments (which never come) or CPU cycles.
const EVENTS: [u64; 2] = [1 << 30, 1 << 30 | 0x11];
/// PMEVCNTR<n>_EL0: about to overflow.
const COUNT: u64 = 0xffff_fff0;

/// Reads register n of a kind, or writes it where a value is given.
macro_rules! numbered {
    ($name:ident, $op2:literal: $($n:literal)+) => {
        fn $name(number: u16, value: Option<u64>) -> u64 {
            match (number, value) {
                $(
                    // SAFETY: the ID registers count this one, and it has no effect at EL1.
                    ($n, Some(value)) => unsafe {
                        write_nth!($n, $op2, value);
                        0
                    },
                    // SAFETY: the same.
                    ($n, None) => unsafe { read_nth!($n, $op2) },
                )+
                _ => 0,
            }
        }
    };
}
macro_rules! write_nth {
    ($n:literal, $op2:literal, $value:expr) => {
        asm!(concat!("msr S2_0_C0_C", $n, "_", $op2, ", {}"), in(reg) $value, options(nostack, preserves_flags))
    };
}
macro_rules! read_nth {
    ($n:literal, $op2:literal) => {{
        let value: u64;
        asm!(concat!("mrs {}, S2_0_C0_C", $n, "_", $op2), out(reg) value, options(nostack, preserves_flags));
        value
    }};
}

numbered!(breakpoint_value, 4: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
numbered!(breakpoint_control, 5: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
numbered!(watchpoint_value, 6: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
numbered!(watchpoint_control, 7: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);

/// Adds what is in them.
pub fn audit(page: &mut Page, features: &Features, place: usize) {
    let mut add = |step, name, n, mask, found| {
        page.add((step, name, Index::At(n)), place, 0, mask, found);
    };
    for n in 0..features.breakpoints() {
        let control = breakpoint_control(n, None);
        add("debug", "DBGBCR<n>_EL1", n, ENABLE, control);
        add("debug", "DBGBVR<n>_EL1", n, !0, breakpoint_value(n, None));
    }
    for n in 0..features.watchpoints() {
        let control = watchpoint_control(n, None);
        add("debug", "DBGWCR<n>_EL1", n, ENABLE, control);
        add("debug", "DBGWVR<n>_EL1", n, !0, watchpoint_value(n, None));
    }
    // OSLK, which a reset sets (Arm ARM, D24.3, OSLSR_EL1).
    // SAFETY: it is there on every CPU.
    let lock = unsafe { read!("OSLSR_EL1") };
    let name = ("debug", "OSLSR_EL1.OSLK", Index::None);
    page.add(name, place, 1 << 1, 1 << 1, lock);
    for n in 0..event_counters(features) {
        select(n);
        // SAFETY: PMSELR_EL0 selects a counter that there is.
        let (kind, count) = unsafe { (read!("PMXEVTYPER_EL0"), read!("PMXEVCNTR_EL0")) };
        page.add(
            ("pmu", "PMEVTYPER<n>_EL0", Index::At(n)),
            place,
            0,
            !0,
            kind,
        );
        page.add(
            ("pmu", "PMEVCNTR<n>_EL0", Index::At(n)),
            place,
            0,
            !0,
            count,
        );
    }
}

/// Fills them, with what has no effect at EL1.
pub fn dirty(features: &Features) {
    // SAFETY: OSLAR_EL1 is there on every CPU; the OS lock is for external debuggers.
    unsafe { write!("OSLAR_EL1", 0) };
    isb();
    for n in 0..features.breakpoints() {
        breakpoint_value(n, Some(ADDRESS + 4 * u64::from(n)));
        breakpoint_control(n, Some(BREAKPOINT));
    }
    for n in 0..features.watchpoints() {
        watchpoint_value(n, Some(ADDRESS + 8 * u64::from(n)));
        watchpoint_control(n, Some(WATCHPOINT));
    }
    for n in 0..event_counters(features) {
        select(n);
        let event = EVENTS[usize::from(n) % EVENTS.len()];
        // SAFETY: PMSELR_EL0 selects a counter that there is.
        unsafe {
            write!("PMXEVTYPER_EL0", event);
            write!("PMXEVCNTR_EL0", COUNT);
        }
    }
}

fn event_counters(features: &Features) -> u16 {
    if !features.pmu() {
        return 0;
    }
    // PMCR_EL0.N.
    // SAFETY: it is there with a PMU.
    (unsafe { read!("PMCR_EL0") } >> 11 & 0x1f) as u16
}

fn select(n: u16) {
    // SAFETY: PMSELR_EL0 is there with a PMU.
    unsafe { write!("PMSELR_EL0", u64::from(n)) };
    isb();
}
