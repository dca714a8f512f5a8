// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::vcpu::fake::{Expected, clears, cortex_a57, max, names_what_sticks};
use alloc::vec::Vec;
use baton_sysreg::fake::{self, Event};

/// Arm ARM, D24.3: no debug exception, no single step; OSDLR_EL1.DLK resets to 0.
const AFTER_RESET: [Expected; 2] = [("MDSCR_EL1", 0, 0), ("OSDLR_EL1", 0, 0)];

/// Six breakpoints and four watchpoints: E is off, the rest is UNKNOWN at reset.
const POINTS: [Expected; 20] = [
    ("DBGBCR0_EL1", 0, 0),
    ("DBGBCR1_EL1", 0, 0),
    ("DBGBCR2_EL1", 0, 0),
    ("DBGBCR3_EL1", 0, 0),
    ("DBGBCR4_EL1", 0, 0),
    ("DBGBCR5_EL1", 0, 0),
    ("DBGBVR0_EL1", 0, 0),
    ("DBGBVR1_EL1", 0, 0),
    ("DBGBVR2_EL1", 0, 0),
    ("DBGBVR3_EL1", 0, 0),
    ("DBGBVR4_EL1", 0, 0),
    ("DBGBVR5_EL1", 0, 0),
    ("DBGWCR0_EL1", 0, 0),
    ("DBGWCR1_EL1", 0, 0),
    ("DBGWCR2_EL1", 0, 0),
    ("DBGWCR3_EL1", 0, 0),
    ("DBGWVR0_EL1", 0, 0),
    ("DBGWVR1_EL1", 0, 0),
    ("DBGWVR2_EL1", 0, 0),
    ("DBGWVR3_EL1", 0, 0),
];

#[test]
fn no_debug_exception_is_left() {
    clears(cortex_a57, &AFTER_RESET, reset);
}

#[test]
fn a_debug_exception_that_stays_is_named() {
    names_what_sticks(cortex_a57, &AFTER_RESET, reset);
}

#[test]
fn no_breakpoint_and_no_watchpoint_is_left() {
    clears(cortex_a57, &POINTS, reset);
}

#[test]
fn a_breakpoint_that_stays_is_named_by_its_kind() {
    for (register, kind) in [
        ("DBGBCR5_EL1", "DBGBCR<n>_EL1"),
        ("DBGBVR0_EL1", "DBGBVR<n>_EL1"),
        ("DBGWCR3_EL1", "DBGWCR<n>_EL1"),
        ("DBGWVR0_EL1", "DBGWVR<n>_EL1"),
    ] {
        cortex_a57();
        fake::fix(register, 1, 1);
        match reset(&Features::of_this_cpu()) {
            Err(HwError::Sticky { register: seen, .. }) => assert_eq!(seen, kind),
            result => panic!("{register}: seen {result:?}"),
        }
    }
}

#[test]
fn the_os_lock_stays_open() {
    cortex_a57();
    assert_eq!(reset(&Features::of_this_cpu()), Ok(()));
    // OSLM, without OSLK, by which MDSCR_EL1.HDE would be the guest's to write.
    assert_eq!(fake::get("OSLSR_EL1"), 1 << 3);
}

#[test]
fn an_os_lock_that_stays_held_is_named() {
    cortex_a57();
    fake::on_write("OSLAR_EL1", |_| 0);
    assert_eq!(
        reset(&Features::of_this_cpu()),
        Err(HwError::Sticky {
            register: "OSLSR_EL1",
            wanted: 0,
            found: 1 << 3 | 1 << 1
        })
    );
}

#[test]
fn mdscr_is_written_with_the_os_lock_open() {
    cortex_a57();
    assert_eq!(reset(&Features::of_this_cpu()), Ok(()));
    // Else it would write to an external debugger's EDSCR.
    let before = [
        Event::Write("OSLAR_EL1", 0),
        Event::Execute("isb", None),
        Event::Write("MDSCR_EL1", 0),
    ];
    assert_eq!(fake::events()[..3], before);
}

#[test]
fn dbgen_is_high_where_debug_is_there_and_enabled() {
    // Arm ARM, D24.3, NSID: not there, not enabled, enabled; the other fields are of other states.
    for (status, expected) in [(0, false), (0xfe, false), (0xff, true), (0b11, true)] {
        fake::reset();
        fake::set("DBGAUTHSTATUS_EL1", status);
        assert_eq!(may_be_halted(), expected, "{status:#x}");
    }
}

#[test]
fn registers_that_cannot_be_read_everywhere_are_written() {
    cortex_a57();
    fake::fix("MDCCINT_EL1", 1, 1);
    fake::fix("DBGVCR32_EL2", 1, 1);
    assert_eq!(
        reset(&Features::of_this_cpu()),
        Ok(()),
        "what is read does not count"
    );
    for register in ["MDCCINT_EL1", "DBGVCR32_EL2"] {
        assert!(fake::writes().contains(&(register, 0)), "{register}");
    }
}

#[test]
fn breakpoints_in_every_bank_are_removed() {
    max();
    assert_eq!(reset(&Features::of_this_cpu()), Ok(()));
    let mut bank = 0;
    let mut cleared = Vec::new();
    for (register, value) in fake::writes() {
        match register {
            "MDSELR_EL1" => bank = value >> 4,
            "DBGBCR0_EL1" | "DBGBCR15_EL1" | "DBGWVR0_EL1" => cleared.push((register, bank)),
            _ => {}
        }
    }
    assert_eq!(
        cleared,
        [
            ("DBGBCR0_EL1", 0),
            ("DBGBCR15_EL1", 0),
            ("DBGBCR0_EL1", 1),
            ("DBGBCR15_EL1", 1),
            ("DBGWVR0_EL1", 0),
            ("DBGWVR0_EL1", 1),
        ]
    );
    assert_eq!(
        fake::get("MDSELR_EL1"),
        0,
        "the first bank is selected again"
    );
}
