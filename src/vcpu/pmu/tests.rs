// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::vcpu::fake::{
    COUNTERS, Expected, clears, cortex_a57, leaves_alone, max, names_what_sticks,
};
use baton_sysreg::fake;

/// Arm ARM, D24.5: E and the enables are off; LC is 1 where there is no AArch32 (and is set, so
/// that no counter of 32 bits overflows); N is how many there are.
const AFTER_RESET: [Expected; 8] = [
    ("PMCR_EL0", COUNTERS << 11 | 1 << 6, 0),
    ("PMCNTENCLR_EL0", 0, 31),
    ("PMINTENCLR_EL1", 0, 31),
    ("PMOVSCLR_EL0", 0, 31),
    ("PMCCNTR_EL0", 0, 0),
    ("PMCCFILTR_EL0", 0, 31),
    ("PMSELR_EL0", 0, 0),
    ("PMUSERENR_EL0", 0, 0),
];
/// What came with PMUv3p9, `FEAT_PMUv3_ICNTR` and `FEAT_AMUv1`.
const LATER: [Expected; 4] = [
    ("PMUACR_EL1", 0, 0),
    ("PMICNTR_EL0", 0, 0),
    ("PMICFILTR_EL0", 0, 0),
    ("AMUSERENR_EL0", 0, 0),
];
/// Arm DSU TRM, "PMU registers".
const CLUSTER: [Expected; 6] = [
    ("CLUSTERPMCR_EL1", COUNTERS << 11, 0),
    ("CLUSTERPMCNTENCLR_EL1", 1 << 32, 31),
    ("CLUSTERPMINTENCLR_EL1", 1 << 32, 31),
    ("CLUSTERPMOVSCLR_EL1", 1 << 32, 31),
    ("CLUSTERPMSELR_EL1", 0, 0),
    ("CLUSTERPMCCNTR_EL1", 0, 0),
];

fn reset_the_cluster() -> Result<(), HwError> {
    // SAFETY: Fakes need nothing.
    unsafe { reset_cluster() }
}

#[test]
fn nothing_counts_and_nothing_interrupts() {
    clears(max, &AFTER_RESET, reset);
}

#[test]
fn what_keeps_counting_is_named() {
    names_what_sticks(max, &AFTER_RESET, reset);
}

#[test]
fn later_registers_are_cleared_where_they_are() {
    clears(max, &LATER, reset);
}

#[test]
fn later_registers_that_stick_are_named() {
    names_what_sticks(max, &LATER, reset);
}

#[test]
fn an_old_cpu_has_no_later_registers() {
    cortex_a57();
    leaves_alone(&LATER, reset);
}

#[test]
fn the_instruction_counter_is_one_of_all() {
    max();
    fake::set("PMCNTENCLR_EL0", 1 << 32);
    assert_eq!(reset(&Features::of_this_cpu()), Ok(()));
    assert_eq!(fake::get("PMCNTENCLR_EL0"), 0);
}

#[test]
fn each_counter_and_its_event_are_cleared() {
    cortex_a57();
    assert_eq!(reset(&Features::of_this_cpu()), Ok(()));
    let writes = fake::writes();
    for counter in 0..COUNTERS {
        let expected = [
            ("PMSELR_EL0", counter),
            ("PMXEVTYPER_EL0", 0),
            ("PMXEVCNTR_EL0", 0),
        ];
        assert!(
            writes.windows(3).any(|three| three == expected),
            "counter {counter}: seen {writes:?}"
        );
    }
}

#[test]
fn an_event_that_sticks_is_named() {
    for register in ["PMXEVTYPER_EL0", "PMXEVCNTR_EL0"] {
        cortex_a57();
        fake::fix(register, 1, 1);
        let stuck = HwError::Sticky {
            register,
            wanted: 0,
            found: 1,
        };
        assert_eq!(reset(&Features::of_this_cpu()), Err(stuck));
    }
}

#[test]
fn overflows_are_cleared_after_the_counters_stopped() {
    cortex_a57();
    assert_eq!(reset(&Features::of_this_cpu()), Ok(()));
    let writes = fake::writes();
    let place = |register| writes.iter().position(|&(name, _)| name == register);
    assert!(
        place("PMCNTENCLR_EL0") < place("PMOVSCLR_EL0"),
        "seen {writes:?}"
    );
}

#[test]
fn without_a_pmu_nothing_is_touched() {
    cortex_a57();
    // PMUVer: one that the architecture does not describe.
    fake::set("ID_AA64DFR0_EL1", 0x1030_5f06);
    leaves_alone(&AFTER_RESET, reset);
}

#[test]
fn nothing_counts_in_the_cluster() {
    clears(cortex_a57, &CLUSTER, |_| reset_the_cluster());
}

#[test]
fn what_keeps_counting_in_the_cluster_is_named() {
    names_what_sticks(cortex_a57, &CLUSTER, |_| reset_the_cluster());
}

#[test]
fn each_counter_of_the_cluster_is_cleared() {
    cortex_a57();
    assert_eq!(reset_the_cluster(), Ok(()));
    let writes = fake::writes();
    for counter in 0..COUNTERS {
        let expected = [
            ("CLUSTERPMSELR_EL1", counter),
            ("CLUSTERPMXEVTYPER_EL1", 0),
            ("CLUSTERPMXEVCNTR_EL1", 0),
        ];
        assert!(
            writes.windows(3).any(|three| three == expected),
            "counter {counter}: seen {writes:?}"
        );
    }
}
