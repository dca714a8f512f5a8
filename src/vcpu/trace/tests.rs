// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::vcpu::fake::{Expected, clears, cortex_a57, leaves_alone, max, names_what_sticks};
use alloc::vec::Vec;
use baton_sysreg::fake::{self, Event};

/// Arm ARM, D24.7: PMSCR's and PMBLIMITR's enables are off; the rest is UNKNOWN at reset.
const SAMPLES: [Expected; 10] = [
    ("PMSCR_EL1", 0, 0),
    ("PMBLIMITR_EL1", 0, 0),
    ("PMBPTR_EL1", 0, 12),
    ("PMBSR_EL1", 0, 17),
    ("PMSICR_EL1", 0, 0),
    ("PMSIRR_EL1", 0, 8),
    ("PMSFCR_EL1", 0, 0),
    ("PMSEVFR_EL1", 0, 1),
    ("PMSLATFR_EL1", 0, 0),
    ("PMSNEVFR_EL1", 0, 1),
];
/// D24.4: TRFCR_EL1.E0TRE and E1TRE are off; TRBLIMITR_EL1.E too.
const TRACE: [Expected; 7] = [
    ("TRFCR_EL1", 0, 0),
    ("TRBLIMITR_EL1", 0, 0),
    ("TRBSR_EL1", 0, 17),
    ("TRBPTR_EL1", 0, 12),
    ("TRBBASER_EL1", 0, 12),
    ("TRBMAR_EL1", 0, 0),
    ("TRBTRG_EL1", 0, 0),
];
/// D24.8: BRBCR_EL1.E0BRE and E1BRE are off.
const BRANCHES: [Expected; 2] = [("BRBCR_EL1", 0, 0), ("BRBFCR_EL1", 0, 0)];

fn all() -> Vec<Expected> {
    [&SAMPLES[..], &TRACE, &BRANCHES].concat()
}

#[test]
fn nothing_writes_to_memory_by_itself() {
    clears(max, &all(), |features| reset(features, true));
}

#[test]
fn what_does_not_stop_is_named() {
    names_what_sticks(max, &all(), |features| reset(features, true));
}

#[test]
fn an_old_cpu_has_none_of_it() {
    cortex_a57();
    leaves_alone(&all(), |features| reset(features, true));
}

#[test]
fn a_filter_that_firmware_may_keep_is_left_alone() {
    max();
    leaves_alone(&TRACE[..1], |features| reset(features, false));
}

#[test]
fn a_buffer_that_a_higher_level_keeps_is_left_alone() {
    max();
    // PMBIDR_EL1.P, TRBIDR_EL1.P.
    fake::set("PMBIDR_EL1", 1 << 4);
    fake::set("TRBIDR_EL1", 1 << 4);
    leaves_alone(&SAMPLES, |features| reset(features, true));
    leaves_alone(&TRACE[1..], |features| reset(features, true));
}

/// Returns where each of `events` is among those of a reset.
fn places(events: &[Event]) -> Vec<usize> {
    max();
    assert_eq!(reset(&Features::of_this_cpu(), true), Ok(()));
    let seen = fake::events();
    let mut from = 0;
    let mut place = |event| {
        let found = seen[from..].iter().position(|other| *other == event);
        from += found.unwrap_or_else(|| panic!("{event:?} is not behind the one before: {seen:?}"));
        from
    };
    events.iter().map(|&event| place(event)).collect()
}

#[test]
fn samples_are_in_memory_before_their_buffer_is_taken_away() {
    places(&[
        Event::Write("PMSCR_EL1", 0),
        Event::Execute("isb", None),
        Event::Execute("psb csync", None),
        Event::Execute("dsb sy", None),
        Event::Write("PMBLIMITR_EL1", 0),
    ]);
}

#[test]
fn trace_is_in_memory_before_its_buffer_is_taken_away() {
    places(&[
        Event::Write("TRFCR_EL1", 0),
        Event::Execute("isb", None),
        Event::Execute("tsb csync; tsb csync", None),
        Event::Execute("dsb sy", None),
        Event::Write("TRBLIMITR_EL1", 0),
    ]);
}

#[test]
fn trace_is_drained_again_before_the_buffers_registers_are_written() {
    places(&[
        Event::Write("TRBLIMITR_EL1", 0),
        Event::Execute("isb", None),
        Event::Execute("tsb csync; tsb csync", None),
        Event::Execute("dsb sy", None),
        Event::Execute("isb", None),
        Event::Write("TRBSR_EL1", 0),
        Event::Write("TRBPTR_EL1", 0),
    ]);
}

#[test]
fn records_are_dropped_when_no_more_come() {
    places(&[
        Event::Write("BRBCR_EL1", 0),
        Event::Execute("isb", None),
        Event::Execute("brb iall", None),
        Event::Execute("isb", None),
    ]);
}
