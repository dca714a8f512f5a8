// SPDX-License-Identifier: Apache-2.0
//! CPUs that are not there, and how steps on them are checked.

use super::features::Features;
use baton_core::hw_error::HwError;
use baton_sysreg::fake;

/// A register, what is in it after a reset, and a bit whose value the step must see to.
pub type Expected = (&'static str, u64, u32);

/// Event counters of both CPUs (`PMCR_EL0.N`).
pub const COUNTERS: u64 = 6;
/// Descriptors of limited ordering regions of [`max`] (`LORID_EL1.LD`).
pub const ORDERING_REGIONS: u64 = 4;

/// This thread runs on a Cortex-A57, as QEMU has it: Armv8.0 and nothing more.
pub fn cortex_a57() {
    fake::reset();
    fake::set("MIDR_EL1", 0x411f_d070);
    fake::set("MPIDR_EL1", 0x8000_0001);
    fake::set("ID_AA64PFR0_EL1", 0x0100_2222);
    fake::set("ID_AA64DFR0_EL1", 0x1030_5106);
    fake::set("ID_AA64MMFR0_EL1", 0x1124);
    behaviour();
}

/// This thread runs on a CPU that has all that the monitor knows of.
pub fn max() {
    fake::reset();
    let fields = |fields: &[(u32, u64)]| fields.iter().map(|&(low, value)| value << low).sum();
    for (register, value) in [
        // AArch32 at EL1, GIC, RAS, SVE, MPAM, AMU, CSV2.
        (
            "ID_AA64PFR0_EL1",
            fields(&[(4, 2), (24, 3), (28, 2), (32, 1), (40, 1), (44, 1), (56, 2)]),
        ),
        // MTE, SME, GCS.
        ("ID_AA64PFR1_EL1", fields(&[(8, 3), (24, 2), (44, 1)])),
        // FPMR.
        ("ID_AA64PFR2_EL1", fields(&[(32, 1)])),
        // APA, GPA, LS64.
        ("ID_AA64ISAR1_EL1", fields(&[(4, 5), (24, 1), (60, 3)])),
        // MOPS, SYSREG_128, SYSINSTR_128.
        ("ID_AA64ISAR2_EL1", fields(&[(16, 1), (32, 1), (36, 1)])),
        // PACM.
        ("ID_AA64ISAR3_EL1", fields(&[(12, 1)])),
        // DebugVer, PMUVer, BRPs, WRPs, PMSVer, DoubleLock, TraceFilt, TraceBuffer, MTPMU, BRBE.
        (
            "ID_AA64DFR0_EL1",
            fields(&[
                (0, 11),
                (8, 9),
                (12, 15),
                (20, 15),
                (32, 5),
                (36, 15),
                (40, 1),
                (44, 1),
                (48, 1),
                (52, 1),
            ]),
        ),
        // ABL_CMPs of 32 breakpoints, 32 watchpoints, SPMU, PMICNTR.
        (
            "ID_AA64DFR1_EL1",
            fields(&[(8, 31), (16, 31), (32, 1), (36, 1)]),
        ),
        // PARange, FGT.
        ("ID_AA64MMFR0_EL1", fields(&[(0, 5), (56, 2)])),
        // VH, LO, HCX.
        ("ID_AA64MMFR1_EL1", fields(&[(8, 1), (16, 1), (40, 1)])),
        // TCRX, SCTLRX, S1PIE, S1POE, S2POE, D128, ANERR, ADERR.
        (
            "ID_AA64MMFR3_EL1",
            fields(&[
                (0, 1),
                (4, 1),
                (8, 1),
                (16, 1),
                (20, 1),
                (32, 1),
                (44, 2),
                (56, 2),
            ]),
        ),
        // FA64.
        ("ID_AA64SMFR0_EL1", fields(&[(63, 1)])),
        ("LORID_EL1", ORDERING_REGIONS << 16 | 4),
        // HAS_HCR.
        ("MPAMIDR_EL1", 1 << 17),
    ] {
        fake::set(register, value);
    }
    behaviour();
}

/// Registers that are more than memory on every CPU (Arm ARM, D24.3 and D24.5).
fn behaviour() {
    // Once it is set, the OS lock shows in OSLSR_EL1.OSLK.
    fake::set("OSLSR_EL1", 1 << 3 | 1 << 1);
    fake::on_write("OSLAR_EL1", |lock| {
        fake::set("OSLSR_EL1", 1 << 3 | (lock & 1) << 1);
        lock
    });
    // P and C read as zero, N is read-only.
    fake::set("PMCR_EL0", COUNTERS << 11 | 0x39);
    fake::on_write("PMCR_EL0", |value| COUNTERS << 11 | value & 0xf9);
    fake::set("CLUSTERPMCR_EL1", COUNTERS << 11 | 1);
    fake::on_write("CLUSTERPMCR_EL1", |value| COUNTERS << 11 | value & 1);
    // Ones clear bits; there are 33 counters at most.
    for register in [
        "PMCNTENCLR_EL0",
        "PMINTENCLR_EL1",
        "PMOVSCLR_EL0",
        "CLUSTERPMCNTENCLR_EL1",
        "CLUSTERPMINTENCLR_EL1",
        "CLUSTERPMOVSCLR_EL1",
    ] {
        fake::on_write(register, move |ones| {
            fake::get(register) & !ones & 0x1_ffff_ffff
        });
    }
}

fn use_up(registers: &[Expected]) {
    for &(register, ..) in registers {
        fake::set(register, u64::MAX);
    }
}

/// Runs `step` on a CPU of which a kernel has used all that is in `registers`: each must have the
/// value of a reset.
#[track_caller]
pub fn clears(cpu: fn(), registers: &[Expected], step: impl Fn(&Features) -> Result<(), HwError>) {
    cpu();
    use_up(registers);
    assert_eq!(step(&Features::of_this_cpu()), Ok(()));
    for &(register, expected, _) in registers {
        let seen = fake::get(register);
        assert_eq!(
            seen, expected,
            "{register}: seen {seen:#x}, expected {expected:#x}"
        );
    }
}

/// Runs `step` on a CPU of which one register after another keeps a bit: the step must name it.
#[track_caller]
pub fn names_what_sticks(
    cpu: fn(),
    registers: &[Expected],
    step: impl Fn(&Features) -> Result<(), HwError>,
) {
    for &(register, expected, bit) in registers {
        cpu();
        use_up(registers);
        fake::fix(register, 1 << bit, !expected);
        match step(&Features::of_this_cpu()) {
            Err(HwError::Sticky { register: seen, .. }) => assert_eq!(seen, register),
            result => panic!("{register} keeps bit {bit}: seen {result:?}"),
        }
    }
}

/// Runs `step`: it must leave `registers` alone.
#[track_caller]
pub fn leaves_alone(registers: &[Expected], step: impl Fn(&Features) -> Result<(), HwError>) {
    assert_eq!(step(&Features::of_this_cpu()), Ok(()));
    for (written, _) in fake::writes() {
        let named = registers.iter().any(|&(register, ..)| register == written);
        assert!(!named, "{written} was written");
    }
}
