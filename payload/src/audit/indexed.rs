// SPDX-License-Identifier: Apache-2.0
//! Registers that there are several of: breakpoints, watchpoints, event counters.

use super::features::Features;
use super::isb;
use super::sheet::{Index, Page};
use baton_abi::steps;
use baton_sysreg::{read_sysreg, write_sysreg};

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
    ($name:ident, $kind:literal: $($n:literal)+) => {
        fn $name(number: u16, value: Option<u64>) -> u64 {
            match (number, value) {
                $(
                    // SAFETY: the ID registers count this one, and it has no effect at EL1.
                    ($n, Some(value)) => unsafe {
                        write_sysreg!($kind $n "_EL1", value);
                        0
                    },
                    // SAFETY: the same.
                    ($n, None) => unsafe { read_sysreg!($kind $n "_EL1") },
                )+
                _ => 0,
            }
        }
    };
}

numbered!(breakpoint_value, "DBGBVR": 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
numbered!(breakpoint_control, "DBGBCR": 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
numbered!(watchpoint_value, "DBGWVR": 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
numbered!(watchpoint_control, "DBGWCR": 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);

/// Adds what is in them.
pub fn audit(page: &mut Page, features: &Features, place: usize) {
    let mut add = |step, name, n, mask, found| {
        page.add((step, name, Index::At(n)), place, 0, mask, found);
    };
    for n in 0..features.breakpoints() {
        let control = breakpoint_control(n, None);
        add(steps::DEBUG, "DBGBCR<n>_EL1", n, ENABLE, control);
        add(
            steps::DEBUG,
            "DBGBVR<n>_EL1",
            n,
            !0,
            breakpoint_value(n, None),
        );
    }
    for n in 0..features.watchpoints() {
        let control = watchpoint_control(n, None);
        add(steps::DEBUG, "DBGWCR<n>_EL1", n, ENABLE, control);
        add(
            steps::DEBUG,
            "DBGWVR<n>_EL1",
            n,
            !0,
            watchpoint_value(n, None),
        );
    }
    // OSLK, which a reset sets (Arm ARM, D24.3, OSLSR_EL1).
    // SAFETY: it is there on every CPU.
    let lock = unsafe { read_sysreg!(OSLSR_EL1) };
    let name = (steps::DEBUG, "OSLSR_EL1.OSLK", Index::None);
    page.add(name, place, 1 << 1, 1 << 1, lock);
    for n in 0..event_counters(features) {
        select(n);
        // SAFETY: PMSELR_EL0 selects a counter that there is.
        let (kind, count) = unsafe { (read_sysreg!(PMXEVTYPER_EL0), read_sysreg!(PMXEVCNTR_EL0)) };
        page.add(
            (steps::PMU, "PMEVTYPER<n>_EL0", Index::At(n)),
            place,
            0,
            !0,
            kind,
        );
        page.add(
            (steps::PMU, "PMEVCNTR<n>_EL0", Index::At(n)),
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
    unsafe { write_sysreg!(OSLAR_EL1, 0) };
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
            write_sysreg!(PMXEVTYPER_EL0, event);
            write_sysreg!(PMXEVCNTR_EL0, COUNT);
        }
    }
}

fn event_counters(features: &Features) -> u16 {
    if !features.pmu() {
        return 0;
    }
    // PMCR_EL0.N.
    // SAFETY: it is there with a PMU.
    (unsafe { read_sysreg!(PMCR_EL0) } >> 11 & 0x1f) as u16
}

fn select(n: u16) {
    // SAFETY: PMSELR_EL0 is there with a PMU.
    unsafe { write_sysreg!(PMSELR_EL0, u64::from(n)) };
    isb();
}
