// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::vcpu::fake::{COUNTERS, cortex_a57, max};
use alloc::vec::Vec;
use baton_sysreg::fake::{self, Event};

const PLAIN: Devices = Devices {
    dsu_pmu: false,
    dsu_pmu_is_open: false,
    implementer: false,
    trace: false,
};
const ALL: Devices = Devices {
    dsu_pmu: true,
    dsu_pmu_is_open: true,
    implementer: false,
    trace: true,
};

/// Sets EL2 up on `cpu`, whose firmware has left ones in these registers; then each must have its
/// value.
#[track_caller]
fn configures(cpu: fn(), devices: Devices, expected: &[(&'static str, u64)]) {
    cpu();
    for &(register, _) in expected {
        fake::set(register, u64::MAX);
    }
    fake::set("MIDR_EL1", 0x411f_d070);
    fake::set("MPIDR_EL1", 0x8000_0001);
    assert_eq!(configure(&Features::of_this_cpu(), devices), Ok(()));
    for &(register, expected) in expected {
        let seen = fake::get(register);
        assert_eq!(
            seen, expected,
            "{register}: seen {seen:#x}, expected {expected:#x}"
        );
    }
}

/// Arm ARM, D24.2: RW, TIDCP, TSC, SWIO, VM.
const HCR: u64 = 1 << 31 | 1 << 20 | 1 << 19 | 1 << 1 | 1;

#[test]
fn an_old_cpu_traps_smc_and_what_the_implementer_defines() {
    configures(cortex_a57, PLAIN, &[("HCR_EL2", HCR)]);
}

#[test]
fn an_old_cpu_gives_its_guest_all_it_has() {
    configures(
        cortex_a57,
        PLAIN,
        &[
            // RES1 without VHE (and TZ, TSM, where there is no SVE or SME): 13, 12, 9, 8, 7 to 0.
            ("CPTR_EL2", 0b11_0011_1111_1111),
            // TDOSA; HPMN: all counters; no bit of PMUv3p1 and later.
            ("MDCR_EL2", 1 << 10 | COUNTERS),
            // EL1PCTEN, EL1PCEN (booting.rst: both).
            ("CNTHCTL_EL2", 3),
            ("CNTVOFF_EL2", 0),
            ("CNTHP_CTL_EL2", 0),
            ("HSTR_EL2", 0),
            ("HACR_EL2", 0),
            ("VPIDR_EL2", 0x411f_d070),
            ("VMPIDR_EL2", 0x8000_0001),
            // Enable, DIB, DFB, SRE.
            ("ICC_SRE_EL2", 0xf),
            ("ICH_HCR_EL2", 0),
        ],
    );
}

#[test]
fn an_old_cpu_has_no_later_registers() {
    cortex_a57();
    assert_eq!(configure(&Features::of_this_cpu(), ALL), Ok(()));
    for (register, _) in fake::writes() {
        let later = [
            "HCRX_EL2",
            "ZCR_EL2",
            "SMCR_EL2",
            "MPAM2_EL2",
            "MPAMHCR_EL2",
            "GCSCR_EL2",
            "VDISR_EL2",
            "HFGRTR_EL2",
            "HAFGRTR_EL2",
            "HFGRTR2_EL2",
            "PMSCR_EL2",
            "TRFCR_EL2",
            "BRBCR_EL2",
            "CNTHV_CTL_EL2",
        ];
        assert!(!later.contains(&register), "{register} is UNDEFINED");
    }
}

#[test]
fn a_new_cpu_opens_pointer_authentication_tags_and_context_numbers() {
    // ATA, EnSCXT, API, APK.
    let later = 1 << 56 | 1 << 53 | 1 << 41 | 1 << 40;
    configures(max, PLAIN, &[("HCR_EL2", HCR | later)]);
}

#[test]
fn a_new_cpu_opens_what_hcrx_governs() {
    // EnAS0, EnALS, EnASR; MSCEn, TCR2En, SCTLR2En; D128En, EnSNERR, EnSDERR, EnIDCP128; GCSEn,
    // EnFPM, PACMEn.
    let hcrx = 7 | 1 << 11 | 3 << 14 | 1 << 17 | 1 << 18 | 1 << 20 | 1 << 21 | 7 << 22;
    configures(max, PLAIN, &[("HCRX_EL2", hcrx)]);
}

#[test]
fn a_new_cpu_has_vectors_of_every_length() {
    configures(
        max,
        PLAIN,
        &[
            // Without TZ and TSM.
            ("CPTR_EL2", 0b10_0010_1111_1111),
            ("ZCR_EL2", 0xf),
            // FA64, EZT0, LEN.
            ("SMCR_EL2", 1 << 31 | 1 << 30 | 0xf),
            ("SMPRIMAP_EL2", 0),
        ],
    );
}

#[test]
fn a_new_cpu_has_partitions_stacks_and_errors_of_its_own() {
    configures(
        max,
        PLAIN,
        &[
            // EnMPAMSM.
            ("MPAM2_EL2", 1 << 50),
            ("MPAMHCR_EL2", 0),
            ("GCSCR_EL2", 0),
            ("VDISR_EL2", 0),
            ("CNTHV_CTL_EL2", 0),
        ],
    );
}

#[test]
fn counters_profiling_and_trace_are_el1s_and_see_nothing_of_el2() {
    configures(
        max,
        ALL,
        &[
            // EBWE, MTPME, E2TB, HCCD, HPMD, EnSPM, E2PB, TDOSA, HPMN.
            (
                "MDCR_EL2",
                1 << 43
                    | 1 << 28
                    | 3 << 24
                    | 1 << 23
                    | 1 << 17
                    | 1 << 15
                    | 3 << 12
                    | 1 << 10
                    | COUNTERS,
            ),
            // PCT: physical; PA.
            ("PMSCR_EL2", 1 << 6 | 1 << 4),
            ("TRFCR_EL2", 0),
            // MPRED, CC; not E2BRE.
            ("BRBCR_EL2", 3 << 3),
        ],
    );
}

#[test]
fn no_fine_grained_trap_is_left() {
    configures(
        max,
        PLAIN,
        &[
            // The traps that are called n… are off by ones: of BRBE, GCS and SPE.
            ("HFGITR_EL2", 3 << 55 | 7 << 57),
            ("HDFGRTR_EL2", 7 << 59 | 1 << 62),
            ("HDFGWTR_EL2", 3 << 60 | 1 << 62),
            ("HAFGRTR_EL2", 0),
        ],
    );
}

#[test]
fn reads_and_writes_of_the_same_register_are_both_open() {
    max();
    assert_eq!(configure(&Features::of_this_cpu(), PLAIN), Ok(()));
    // D24.2: nAMAIR2, nMAIR2, nS2POR, nPOR_EL1, nPOR_EL0, nPIR, nPIRE0, nRCWMASK, nTPIDR2, nSMPRI,
    // nGCS_EL1, nGCS_EL0, nACCDATA are bits 63 to 50, but for 51.
    let open = 0x3fff << 50 & !(1 << 51);
    assert_eq!(fake::get("HFGRTR_EL2"), open, "HFGRTR_EL2");
    assert_eq!(fake::get("HFGWTR_EL2"), open, "HFGWTR_EL2");
}

#[test]
fn no_fine_grained_trap_of_the_second_kind_is_left() {
    max();
    assert_eq!(configure(&Features::of_this_cpu(), PLAIN), Ok(()));
    // D24.2: nPFAR_EL1, nERXGSR_EL1 (which is read-only), nRCWSMASK_EL1; nDCCIVAPS; nPMECR_EL1,
    // nPMICNTR_EL0, nPMICFILTR_EL0, nPMUACR_EL1, nMDSELR_EL1.
    for (register, open) in [
        ("HFGRTR2_EL2", 0b111),
        ("HFGWTR2_EL2", 0b101),
        ("HFGITR2_EL2", 0b10),
        ("HDFGRTR2_EL2", 0b11_1101),
        ("HDFGWTR2_EL2", 0b11_1101),
    ] {
        let seen = fake::get(register);
        assert_eq!(seen & open, open, "{register}: seen {seen:#x}");
    }
}

#[test]
fn a_cluster_pmu_is_opened_in_place_of_the_trap() {
    cortex_a57();
    fake::set("ACTLR_EL2", 1);
    assert_eq!(configure(&Features::of_this_cpu(), ALL), Ok(()));
    assert_eq!(fake::get("HCR_EL2"), HCR & !(1 << 20), "TIDCP");
    // CLUSTERPMUEN alone: nothing else is opened that the trap kept.
    assert_eq!(fake::get("ACTLR_EL2"), 1 << 12);
}

#[test]
fn registers_of_another_implementer_are_opened_as_firmware_left_them() {
    cortex_a57();
    fake::set("ACTLR_EL2", 1);
    let devices = Devices {
        implementer: true,
        ..PLAIN
    };
    assert_eq!(configure(&Features::of_this_cpu(), devices), Ok(()));
    assert_eq!(fake::get("HCR_EL2"), HCR & !(1 << 20), "TIDCP");
    assert_eq!(fake::get("ACTLR_EL2"), 1);
}

#[test]
fn a_filter_that_firmware_may_keep_is_left_alone() {
    max();
    assert_eq!(configure(&Features::of_this_cpu(), PLAIN), Ok(()));
    let filter = |(register, _): &(&str, u64)| *register == "TRFCR_EL2";
    assert!(!fake::writes().iter().any(filter));
}

#[test]
fn a_cpu_with_vhe_alone_is_named() {
    cortex_a57();
    // E2H is RES1.
    fake::fix("HCR_EL2", 1 << 34, 1 << 34);
    let stuck = HwError::Sticky {
        register: "HCR_EL2",
        wanted: HCR,
        found: HCR | 1 << 34,
    };
    assert_eq!(configure(&Features::of_this_cpu(), PLAIN), Err(stuck));
    assert_eq!(fake::get("CNTHCTL_EL2"), 3, "the rest is set");
}

#[test]
fn a_gic_without_system_registers_is_named() {
    cortex_a57();
    fake::fix("ICC_SRE_EL2", 1, 0);
    let stuck = HwError::Sticky {
        register: "ICC_SRE_EL2",
        wanted: 0xf,
        found: 0xe,
    };
    assert_eq!(configure(&Features::of_this_cpu(), PLAIN), Err(stuck));
}

#[test]
fn a_wait_of_the_guest_traps_or_not() {
    cortex_a57();
    assert_eq!(configure(&Features::of_this_cpu(), PLAIN), Ok(()));
    // TWI.
    trap_wfi(true);
    assert_eq!(fake::get("HCR_EL2"), HCR | 1 << 13);
    trap_wfi(false);
    assert_eq!(fake::get("HCR_EL2"), HCR);
}

#[test]
fn a_wait_in_the_monitor_ends_with_an_interrupt_of_the_guests() {
    fake::reset();
    fake::set("HCR_EL2", HCR);
    wait_for_interrupt();
    assert_eq!(
        fake::events(),
        [
            Event::Execute("dsb nsh", None),
            // IMO, FMO.
            Event::Write("HCR_EL2", HCR | 1 << 4 | 1 << 3),
            Event::Execute("isb", None),
            Event::Execute("dsb sy", None),
            Event::Execute("wfi", None),
            Event::Execute("dsb nsh", None),
            Event::Write("HCR_EL2", HCR),
            Event::Execute("isb", None),
        ]
    );
}

#[test]
fn every_write_of_hcr_stands_between_barriers() {
    max();
    assert_eq!(configure(&Features::of_this_cpu(), PLAIN), Ok(()));
    trap_wfi(true);
    trap_wfi(false);
    wait_for_interrupt();
    let events = fake::events();
    let is_write = |event: &Event| matches!(event, Event::Write("HCR_EL2", _));
    let writes: Vec<usize> = (0..events.len())
        .filter(|&at| is_write(&events[at]))
        .collect();
    assert_eq!(writes.len(), 5, "configure 1, trap_wfi 2, a wait 2");
    for at in writes {
        let around = [events[at - 1], events[at + 1]];
        let expected = ["dsb nsh", "isb"].map(|barrier| Event::Execute(barrier, None));
        assert_eq!(around, expected, "event {at}");
    }
}
