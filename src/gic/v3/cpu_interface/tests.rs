// SPDX-License-Identifier: Apache-2.0

use super::*;
use baton_sysreg::fake;

/// Active priorities of a CPU with seven bits of priority: four registers for each group.
const ACTIVE: [&str; 8] = [
    "ICC_AP0R0_EL1",
    "ICC_AP0R1_EL1",
    "ICC_AP0R2_EL1",
    "ICC_AP0R3_EL1",
    "ICC_AP1R0_EL1",
    "ICC_AP1R1_EL1",
    "ICC_AP1R2_EL1",
    "ICC_AP1R3_EL1",
];

/// An interface that a kernel uses, with `priority_bits` bits of priority.
fn used(priority_bits: u64) {
    fake::reset();
    fake::set("ICC_SRE_EL1", 7);
    // PRIbits, IDbits (read-only), PMHE, EOImode, CBPR.
    fake::set(
        "ICC_CTLR_EL1",
        (priority_bits - 1) << 8 | 1 << 11 | 1 << 6 | 3,
    );
    for register in ["ICC_IGRPEN0_EL1", "ICC_IGRPEN1_EL1"] {
        fake::set(register, 1);
    }
    for register in ["ICC_BPR0_EL1", "ICC_BPR1_EL1"] {
        fake::set(register, 5);
    }
    for register in ACTIVE {
        fake::set(register, u64::MAX);
    }
    fake::set("ICC_PMR_EL1", 0xf0);
    // Nothing is being handled.
    fake::set("ICC_RPR_EL1", 0xff);
}

#[test]
fn nothing_of_the_old_kernel_is_left() {
    used(7);
    assert_eq!(reset(), Ok(()));
    // IHI 0069H.b, 12.2: IGRPEN and PMR reset to 0, APR and CTLR's choices to 0, BPR to its lowest.
    for register in ACTIVE {
        assert_eq!(fake::get(register), 0, "{register}");
    }
    for register in [
        "ICC_IGRPEN0_EL1",
        "ICC_IGRPEN1_EL1",
        "ICC_BPR0_EL1",
        "ICC_BPR1_EL1",
        "ICC_PMR_EL1",
    ] {
        assert_eq!(fake::get(register), 0, "{register}");
    }
    assert_eq!(
        fake::get("ICC_CTLR_EL1"),
        6 << 8 | 1 << 11,
        "read-only bits"
    );
    assert_eq!(fake::get("ICC_SRE_EL1"), 7, "system registers stay on");
}

#[test]
fn active_priorities_that_are_not_there_are_not_written() {
    // IHI 0069H.b, 12.2.2: AP1R1 from six bits of priority on, AP1R2 and AP1R3 from seven.
    for (bits, present) in [(5, 1), (6, 2), (7, 4)] {
        used(bits);
        assert_eq!(reset(), Ok(()));
        let written = |register: &&str| fake::writes().iter().any(|&(name, _)| name == *register);
        let seen = ACTIVE.iter().filter(|register| written(register)).count();
        assert_eq!(seen, 2 * present, "{bits} bits");
    }
}

#[test]
fn group_0_is_left_alone_where_it_is_firmwares() {
    used(5);
    // SCR_EL3.FIQ is set: priorities are shown in the Non-secure half, shifted.
    fake::on_write("ICC_PMR_EL1", |value| value & !0xf);
    assert_eq!(reset(), Ok(()));
    for (register, _) in fake::writes() {
        let group0 = ["ICC_IGRPEN0_EL1", "ICC_BPR0_EL1", "ICC_AP0R0_EL1"];
        assert!(!group0.contains(&register), "{register} traps to EL3");
    }
}

#[test]
fn what_is_being_handled_ends() {
    used(5);
    fake::set("ICC_RPR_EL1", 0x80);
    let mut levels = 3;
    fake::on_write("ICC_EOIR1_EL1", move |_| {
        levels -= 1;
        if levels == 0 {
            fake::set("ICC_RPR_EL1", 0xff);
        }
        0
    });
    assert_eq!(reset(), Ok(()));
    let ends = |&(name, _): &(&str, u64)| name == "ICC_EOIR1_EL1";
    assert_eq!(fake::writes().iter().filter(|write| ends(write)).count(), 3);
}

#[test]
fn what_does_not_take_is_named() {
    for (register, bits) in [
        ("ICC_IGRPEN1_EL1", 1),
        ("ICC_IGRPEN0_EL1", 1),
        ("ICC_CTLR_EL1", 2),
        ("ICC_PMR_EL1", 0x80),
    ] {
        used(5);
        fake::fix(register, bits, bits);
        match reset() {
            Err(HwError::Sticky { register: seen, .. }) => assert_eq!(seen, register),
            result => panic!("{register}: seen {result:?}"),
        }
    }
    used(5);
    fake::set("ICC_RPR_EL1", 0x80);
    let handled = HwError::Sticky {
        register: "ICC_RPR_EL1",
        wanted: 0xff,
        found: 0x80,
    };
    assert_eq!(reset(), Err(handled));
}

#[test]
fn without_system_registers_nothing_is_touched() {
    fake::reset();
    assert_eq!(
        reset(),
        Err(HwError::Sticky {
            register: "ICC_SRE_EL1",
            wanted: 1,
            found: 0
        })
    );
    assert_eq!(fake::writes(), []);
}

#[test]
fn a_kick_is_masked_by_the_group_and_by_the_mask() {
    used(5);
    assert!(!kick_is_masked(false), "PMR 0xf0, group 1 on");
    fake::set("ICC_PMR_EL1", 0);
    assert!(kick_is_masked(false), "PMR 0");
    fake::set("ICC_PMR_EL1", 0xf0);
    fake::set("ICC_IGRPEN1_EL1", 0);
    assert!(kick_is_masked(false), "group 1 off");
}

#[test]
fn listening_lets_the_highest_priority_through_and_is_undone() {
    // Five bits of priority: the lowest mask above 0 is 8, in the Non-secure half 0x88. Where
    // firmware has group 0, one bit less is in sight.
    for (two_states, firmware, mask) in [
        (false, false, 0x08),
        (true, false, 0x88),
        (true, true, 0x10),
    ] {
        used(5);
        fake::set("ICC_IGRPEN1_EL1", 0);
        if firmware {
            fake::on_write("ICC_PMR_EL1", |value| value & !0xf);
        }
        let saved = listen(two_states);
        assert_eq!(fake::get("ICC_PMR_EL1"), mask, "{two_states} {firmware}");
        assert_eq!(fake::get("ICC_IGRPEN1_EL1"), 1);
        saved.restore();
        assert_eq!(fake::get("ICC_PMR_EL1"), 0xf0);
        assert_eq!(fake::get("ICC_IGRPEN1_EL1"), 0);
    }
}
