// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::vcpu::fake::{Expected, clears, cortex_a57, leaves_alone, max, names_what_sticks};
use baton_sysreg::fake;

/// Arm ARM, C5.2 and D24.2: FPCR is 0 after a reset; vectors are UNKNOWN.
const FLOATING_POINT: [Expected; 3] = [("V0-V31", 0, 63), ("FPCR", 0, 24), ("FPSR", 0, 27)];
/// What came with SVE, SME and FPMR.
const LATER: [Expected; 7] = [
    ("Z0-Z31", 0, 63),
    ("ZCR_EL1", 0, 0),
    ("SVCR", 0, 0),
    ("SMCR_EL1", 0, 31),
    ("SMPRI_EL1", 0, 0),
    ("TPIDR2_EL0", 0, 63),
    ("FPMR", 0, 0),
];

#[test]
fn nothing_of_the_last_process_is_in_the_vectors() {
    clears(cortex_a57, &FLOATING_POINT, reset);
}

#[test]
fn a_vector_that_is_not_clear_is_named() {
    names_what_sticks(cortex_a57, &FLOATING_POINT, reset);
}

#[test]
fn longer_vectors_and_streaming_mode_are_cleared_where_they_are() {
    clears(max, &LATER, reset);
}

#[test]
fn what_stays_of_them_is_named() {
    names_what_sticks(max, &LATER, reset);
}

#[test]
fn an_old_cpu_has_only_the_first() {
    cortex_a57();
    leaves_alone(&LATER, reset);
}

#[test]
fn a_cpu_without_floating_point_is_left_alone() {
    cortex_a57();
    fake::set("ID_AA64PFR0_EL1", 0x01ff_2222);
    leaves_alone(&FLOATING_POINT, reset);
}

#[test]
fn streaming_mode_is_left_before_vectors_are_cleared() {
    max();
    assert_eq!(reset(&Features::of_this_cpu()), Ok(()));
    let writes = fake::writes();
    let place = |register| writes.iter().position(|&(name, _)| name == register);
    // In streaming mode Z0 to Z31 have another length, and V0 to V31 may not be used.
    assert!(place("SVCR") < place("V0-V31"), "seen {writes:?}");
}
