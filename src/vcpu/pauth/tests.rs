// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::vcpu::fake::{Expected, clears, cortex_a57, leaves_alone, max, names_what_sticks};
use baton_sysreg::fake;

/// Arm ARM, D24.2: UNKNOWN at reset; the old kernel's keys are a secret.
const KEYS: [Expected; 10] = [
    ("APIAKeyLo_EL1", 0, 0),
    ("APIAKeyHi_EL1", 0, 63),
    ("APIBKeyLo_EL1", 0, 0),
    ("APIBKeyHi_EL1", 0, 63),
    ("APDAKeyLo_EL1", 0, 0),
    ("APDAKeyHi_EL1", 0, 63),
    ("APDBKeyLo_EL1", 0, 0),
    ("APDBKeyHi_EL1", 0, 63),
    ("APGAKeyLo_EL1", 0, 0),
    ("APGAKeyHi_EL1", 0, 63),
];

#[test]
fn no_key_is_left() {
    clears(max, &KEYS, reset);
}

#[test]
fn a_key_that_stays_is_named() {
    names_what_sticks(max, &KEYS, reset);
}

#[test]
fn an_old_cpu_has_no_keys() {
    cortex_a57();
    leaves_alone(&KEYS, reset);
}

#[test]
fn the_generic_key_comes_alone_too() {
    cortex_a57();
    // ID_AA64ISAR2_EL1.GPA3.
    fake::set("ID_AA64ISAR2_EL1", 1 << 8);
    leaves_alone(&KEYS[..8], reset);
    assert!(fake::writes().contains(&("APGAKeyLo_EL1", 0)));
}
