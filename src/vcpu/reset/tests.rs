// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::vcpu::fake::{
    Expected, ORDERING_REGIONS, clears, cortex_a57, leaves_alone, max, names_what_sticks,
};
use baton_sysreg::fake::{self, Event};

/// `SCTLR_EL1` (Arm ARM, D24.2): M, C and I reset to 0 where EL1 is the highest level; here it is
/// what is RES1 without the feature: LSMAOE, nTLSMD, SPAN, EIS, TSCXT, EOS.
const SCTLR: u64 = 1 << 29 | 1 << 28 | 1 << 23 | 1 << 22 | 1 << 20 | 1 << 11;

/// D24.2: UNKNOWN at reset but for what is said; then zero, so that nothing of the old kernel is
/// left.
const AFTER_RESET: [Expected; 22] = [
    ("SCTLR_EL1", SCTLR, 0),
    ("CPACR_EL1", 0, 20),
    ("TCR_EL1", 0, 0),
    ("TTBR0_EL1", 0, 63),
    ("TTBR1_EL1", 0, 63),
    ("MAIR_EL1", 0, 0),
    ("AMAIR_EL1", 0, 0),
    ("VBAR_EL1", 0, 11),
    ("ESR_EL1", 0, 31),
    ("FAR_EL1", 0, 63),
    ("AFSR0_EL1", 0, 0),
    ("AFSR1_EL1", 0, 0),
    ("ELR_EL1", 0, 63),
    ("SPSR_EL1", 0, 0),
    ("PAR_EL1", 0, 12),
    ("CSSELR_EL1", 0, 0),
    ("SP_EL0", 0, 63),
    ("SP_EL1", 0, 63),
    ("CONTEXTIDR_EL1", 0, 31),
    ("TPIDR_EL0", 0, 63),
    ("TPIDRRO_EL0", 0, 63),
    ("TPIDR_EL1", 0, 63),
];
/// What came later, in the order of the features.
const LATER: [Expected; 20] = [
    ("TCR2_EL1", 0, 0),
    ("SCTLR2_EL1", 0, 3),
    ("PIRE0_EL1", 0, 0),
    ("PIR_EL1", 0, 63),
    ("POR_EL0", 0, 0),
    ("POR_EL1", 0, 63),
    ("S2POR_EL1", 0, 0),
    ("LORC_EL1", 0, 0),
    ("RGSR_EL1", 0, 0),
    ("GCR_EL1", 0, 16),
    ("TFSR_EL1", 0, 0),
    ("TFSRE0_EL1", 0, 0),
    ("GCSCR_EL1", 0, 0),
    ("GCSPR_EL1", 0, 3),
    ("GCSCRE0_EL1", 0, 0),
    ("GCSPR_EL0", 0, 3),
    ("DISR_EL1", 0, 31),
    ("MPAM1_EL1", 0, 0),
    ("MPAM0_EL1", 0, 47),
    ("MPAMSM_EL1", 0, 16),
];

#[test]
fn nothing_of_the_old_kernel_is_left() {
    clears(cortex_a57, &AFTER_RESET, reset_el1);
}

#[test]
fn what_stays_is_named() {
    names_what_sticks(cortex_a57, &AFTER_RESET, reset_el1);
}

#[test]
fn later_registers_are_cleared_where_they_are() {
    clears(max, &LATER, reset_el1);
}

#[test]
fn later_registers_that_stick_are_named() {
    names_what_sticks(max, &LATER, reset_el1);
}

#[test]
fn an_old_cpu_has_no_later_registers() {
    cortex_a57();
    leaves_alone(&LATER, reset_el1);
}

#[test]
fn bits_that_a_cpu_fixes_are_no_error() {
    cortex_a57();
    // CP15BEN, ITD and SED; PAR_EL1 bit 11; what MPAM1_EL1 shows of MPAM2_EL2.
    fake::fix("SCTLR_EL1", 1 << 5 | 1 << 7 | 1 << 8, 1 << 5);
    fake::fix("PAR_EL1", 1 << 11, 1 << 11);
    fake::fix("MPAM1_EL1", 1 << 63, 1 << 63);
    assert_eq!(reset_el1(&Features::of_this_cpu()), Ok(()));
}

#[test]
fn each_ordering_region_is_invalid() {
    max();
    assert_eq!(reset_el1(&Features::of_this_cpu()), Ok(()));
    let writes = fake::writes();
    for descriptor in 0..ORDERING_REGIONS {
        let expected = [
            // DS is bits 9 to 2.
            ("LORC_EL1", descriptor << 2),
            ("LORSA_EL1", 0),
            ("LOREA_EL1", 0),
            ("LORN_EL1", 0),
        ];
        assert!(
            writes.windows(4).any(|four| four == expected),
            "descriptor {descriptor}: seen {writes:?}"
        );
    }
}

#[test]
fn a_descriptor_is_written_when_its_choice_counts() {
    max();
    assert_eq!(reset_el1(&Features::of_this_cpu()), Ok(()));
    let events = fake::events();
    let chosen = |event: &Event| matches!(event, Event::Write("LORSA_EL1", _));
    let place = events
        .iter()
        .position(chosen)
        .expect("LORSA_EL1 is written");
    assert_eq!(events[place - 1], Event::Execute("isb", None));
}

#[test]
fn a_cpu_that_woke_keeps_its_timers() {
    cortex_a57();
    fake::set("CNTV_CTL_EL0", 1);
    assert_eq!(
        reset_woken_cpu(&Features::of_this_cpu(), Devices::default()),
        Ok(())
    );
    assert_eq!(fake::get("CNTV_CTL_EL0"), 1);
}

#[test]
fn a_whole_cpu_goes_on_behind_what_sticks() {
    max();
    fake::fix("CNTKCTL_EL1", 1, 1);
    fake::set("TPIDR_EL1", 7);
    let devices = Devices {
        dsu_pmu: false,
        dsu_pmu_is_open: false,
        implementer: false,
        trace: true,
    };
    let stuck = HwError::Sticky {
        register: "CNTKCTL_EL1",
        wanted: 0,
        found: 1,
    };
    assert_eq!(reset_cpu(&Features::of_this_cpu(), devices), Err(stuck));
    assert_eq!(fake::get("TPIDR_EL1"), 0, "the last part is done");
}

#[test]
fn a_whole_cpu_is_all_of_its_parts() {
    for register in [
        "CNTV_CTL_EL0",
        "PMUSERENR_EL0",
        "PMSCR_EL1",
        "MDSCR_EL1",
        "FPCR",
        "APIAKeyLo_EL1",
        "TTBR0_EL1",
    ] {
        max();
        fake::set(register, 1);
        assert_eq!(
            reset_cpu(&Features::of_this_cpu(), Devices::default()),
            Ok(())
        );
        assert_eq!(fake::get(register), 0, "{register}");
    }
}
