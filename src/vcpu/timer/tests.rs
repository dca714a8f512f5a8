// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::vcpu::fake::{Expected, clears, cortex_a57, names_what_sticks};
use baton_sysreg::fake;

/// Arm ARM, D24.10: ENABLE, and EL0's access, are off; compare values are UNKNOWN at reset.
const AFTER_RESET: [Expected; 5] = [
    ("CNTV_CTL_EL0", 0, 0),
    ("CNTP_CTL_EL0", 0, 0),
    ("CNTV_CVAL_EL0", 0, 63),
    ("CNTP_CVAL_EL0", 0, 63),
    ("CNTKCTL_EL1", 0, 0),
];

#[test]
fn timers_are_off_and_not_el0s() {
    clears(cortex_a57, &AFTER_RESET, |_| reset());
}

#[test]
fn a_timer_that_stays_on_is_named() {
    names_what_sticks(cortex_a57, &AFTER_RESET, |_| reset());
}

#[test]
fn a_condition_that_holds_is_no_timer_that_is_on() {
    cortex_a57();
    // ISTATUS.
    fake::fix("CNTV_CTL_EL0", 1 << 2, 1 << 2);
    assert_eq!(reset(), Ok(()));
}
