// SPDX-License-Identifier: Apache-2.0
//! The registers and instructions whose names the assembler does not know.
//!
//! Rust's target is Armv8.0 without extensions; the assembler refuses the names of what came later.
//! Sections are those of the Arm ARM (DDI 0487), which has registers by the alphabet in each, and
//! their encodings under "Accessing".

/// What the assembler takes for a register, as a string: its encoding where it does not know the
/// name (`S<op0>_<op1>_C<CRn>_C<CRm>_<op2>`), else the name itself.
///
/// For `asm!` that `read_sysreg!` and `write_sysreg!` cannot write:
/// `asm!(concat!("mrs {}, ", encoding!(HCR_EL2)), ...)`.
#[macro_export]
macro_rules! encoding {
    // C5.2, special-purpose registers.
    (FPCR) => { "S3_3_C4_C4_0" };
    (FPSR) => { "S3_3_C4_C4_1" };
    (SVCR) => { "S3_3_C4_C2_2" };

    // D24.2, general system control registers: identification.
    (ID_AA64MMFR4_EL1) => { "S3_0_C0_C7_4" };
    (ID_AA64SMFR0_EL1) => { "S3_0_C0_C4_5" };

    // D24.2: the keys of pointer authentication.
    (APDAKeyHi_EL1) => { "S3_0_C2_C2_1" };
    (APDAKeyLo_EL1) => { "S3_0_C2_C2_0" };
    (APDBKeyHi_EL1) => { "S3_0_C2_C2_3" };
    (APDBKeyLo_EL1) => { "S3_0_C2_C2_2" };
    (APGAKeyHi_EL1) => { "S3_0_C2_C3_1" };
    (APGAKeyLo_EL1) => { "S3_0_C2_C3_0" };
    (APIAKeyHi_EL1) => { "S3_0_C2_C1_1" };
    (APIAKeyLo_EL1) => { "S3_0_C2_C1_0" };
    (APIBKeyHi_EL1) => { "S3_0_C2_C1_3" };
    (APIBKeyLo_EL1) => { "S3_0_C2_C1_2" };

    // D24.2: limited ordering regions.
    (LORC_EL1) => { "S3_0_C10_C4_3" };
    (LOREA_EL1) => { "S3_0_C10_C4_1" };
    (LORID_EL1) => { "S3_0_C10_C4_7" };
    (LORN_EL1) => { "S3_0_C10_C4_2" };
    (LORSA_EL1) => { "S3_0_C10_C4_0" };

    // D24.2: what HCR_EL2 has no room for.
    (HCRX_EL2) => { "S3_4_C1_C2_2" };

    // D24.2: memory tagging.
    (GCR_EL1) => { "S3_0_C1_C0_6" };
    (RGSR_EL1) => { "S3_0_C1_C0_5" };
    (TFSRE0_EL1) => { "S3_0_C5_C6_1" };
    (TFSR_EL1) => { "S3_0_C5_C6_0" };

    // D24.2: SVE and SME.
    (SMCR_EL1) => { "S3_0_C1_C2_6" };
    (SMCR_EL2) => { "S3_4_C1_C2_6" };
    (SMPRIMAP_EL2) => { "S3_4_C1_C2_5" };
    (SMPRI_EL1) => { "S3_0_C1_C2_4" };
    (TPIDR2_EL0) => { "S3_3_C13_C0_5" };
    (ZCR_EL1) => { "S3_0_C1_C2_0" };
    (ZCR_EL2) => { "S3_4_C1_C2_0" };

    // D24.2: fine-grained traps.
    (HAFGRTR_EL2) => { "S3_4_C3_C1_6" };
    (HDFGRTR2_EL2) => { "S3_4_C3_C1_0" };
    (HDFGRTR_EL2) => { "S3_4_C3_C1_4" };
    (HDFGWTR2_EL2) => { "S3_4_C3_C1_1" };
    (HDFGWTR_EL2) => { "S3_4_C3_C1_5" };
    (HFGITR2_EL2) => { "S3_4_C3_C1_7" };
    (HFGITR_EL2) => { "S3_4_C1_C1_6" };
    (HFGRTR2_EL2) => { "S3_4_C3_C1_2" };
    (HFGRTR_EL2) => { "S3_4_C1_C1_4" };
    (HFGWTR2_EL2) => { "S3_4_C3_C1_3" };
    (HFGWTR_EL2) => { "S3_4_C1_C1_5" };

    // D24.4, trace registers: the filter.
    (TRFCR_EL1) => { "S3_0_C1_C2_1" };
    (TRFCR_EL2) => { "S3_4_C1_C2_1" };

    // D24.6, Activity Monitors registers.
    (AMUSERENR_EL0) => { "S3_3_C13_C2_3" };

    // D24.7, Statistical Profiling Extension registers.
    (PMBIDR_EL1) => { "S3_0_C9_C10_7" };
    (PMBLIMITR_EL1) => { "S3_0_C9_C10_0" };
    (PMBPTR_EL1) => { "S3_0_C9_C10_1" };
    (PMBSR_EL1) => { "S3_0_C9_C10_3" };
    (PMSCR_EL1) => { "S3_0_C9_C9_0" };
    (PMSCR_EL2) => { "S3_4_C9_C9_0" };
    (PMSEVFR_EL1) => { "S3_0_C9_C9_5" };
    (PMSFCR_EL1) => { "S3_0_C9_C9_4" };
    (PMSICR_EL1) => { "S3_0_C9_C9_2" };
    (PMSIRR_EL1) => { "S3_0_C9_C9_3" };
    (PMSLATFR_EL1) => { "S3_0_C9_C9_6" };
    (PMSNEVFR_EL1) => { "S3_0_C9_C9_1" };

    // D24.8, Branch Record Buffer Extension registers.
    (BRBCR_EL1) => { "S2_1_C9_C0_0" };
    (BRBCR_EL2) => { "S2_4_C9_C0_0" };
    (BRBFCR_EL1) => { "S2_1_C9_C0_1" };

    // D24.9, RAS registers.
    (DISR_EL1) => { "S3_0_C12_C1_1" };
    (VDISR_EL2) => { "S3_4_C12_C1_1" };

    // D24.10, Generic Timer registers.
    (CNTHV_CTL_EL2) => { "S3_4_C14_C3_1" };

    // D24.12, MPAM registers.
    (MPAMSM_EL1) => { "S3_0_C10_C5_3" };

    // Not in the manual: the PMU of a DynamIQ cluster (Arm DSU TRM, "PMU registers").
    (CLUSTERPMCR_EL1) => { "S3_0_C15_C5_0" };
    (CLUSTERPMCNTENCLR_EL1) => { "S3_0_C15_C5_2" };
    (CLUSTERPMOVSCLR_EL1) => { "S3_0_C15_C5_4" };
    (CLUSTERPMSELR_EL1) => { "S3_0_C15_C5_5" };
    (CLUSTERPMINTENCLR_EL1) => { "S3_0_C15_C5_7" };
    (CLUSTERPMCCNTR_EL1) => { "S3_0_C15_C6_0" };
    (CLUSTERPMXEVTYPER_EL1) => { "S3_0_C15_C6_1" };
    (CLUSTERPMXEVCNTR_EL1) => { "S3_0_C15_C6_2" };

    ($name:ident) => { stringify!($name) };
    ($($part:literal)+) => { concat!($($part),+) };
}

/// What the assembler takes for an instruction that has no general register as its result: the
/// name, or where the assembler does not know that, the instruction it is a name for.
#[macro_export]
macro_rules! mnemonic {
    // C6.2, base instructions: hints that synchronise profiling and trace.
    ("psb csync") => {
        "hint #17"
    };
    ("tsb csync; tsb csync") => {
        "hint #18; hint #18"
    };

    // C5.7, branch record buffer: drops all records.
    ("brb iall") => {
        "sys #1, C7, C2, #4"
    };

    ($text:literal) => {
        $text
    };
}
