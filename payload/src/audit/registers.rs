// SPDX-License-Identifier: Apache-2.0
//! The registers of a CPU that a kernel can leave something in: what they are filled with, and what
//! the next kernel may expect.
//!
//! Where a reset leaves a register UNKNOWN (Arm ARM, D24.2), as it does with most of them, the value
//! expected is zero: nothing of the old kernel. What is not zero says where it comes from.

use super::features::Features;
use super::sysreg::{read, write};
use crate::entry_state::EntryState;

/// A register.
pub struct Register {
    /// The step that clears it.
    pub step: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Whether the CPU has it.
    pub there: fn(&Features) -> bool,
    /// Reads it, or what it was when the CPU was entered.
    pub read: fn(&EntryState) -> u64,
    /// Fills it. What the probe itself runs on is not zero anyway, and is left alone.
    pub write: Option<fn(u64)>,
    /// What it is filled with.
    pub dirt: u64,
    /// What the next kernel expects.
    pub expected: u64,
    /// The bits that count.
    pub mask: u64,
}

const ALL: u64 = !0;

macro_rules! registers {
    (@name $asm:literal) => { $asm };
    (@name $asm:literal $name:literal) => { $name };
    (@mask) => { ALL };
    (@mask $mask:expr) => { $mask };
    ($($visibility:vis static $table:ident = {
        $(in $step:literal, $there:ident:
            $($asm:literal $(as $name:literal)? $(mask $mask:expr)? => $dirt:expr;)+
        )+
    })+) => {
        $($visibility static $table: &[Register] = &[$($(
            Register {
                step: $step,
                name: registers!(@name $asm $($name)?),
                there: Features::$there,
                // SAFETY: `there` says so; reading it has no effect.
                read: |_| unsafe { read!($asm) },
                // SAFETY: `there` says so, and the value is one that the probe can live with.
                write: Some(|value| unsafe { write!($asm, value) }),
                dirt: $dirt,
                expected: 0,
                mask: registers!(@mask $($mask)?),
            },
        )+)+];)+
    };
}

const fn entry(
    step: &'static str,
    name: &'static str,
    read: fn(&EntryState) -> u64,
    expected: u64,
    mask: u64,
) -> Register {
    Register {
        step,
        name,
        there: Features::always,
        read,
        write: None,
        dirt: 0,
        expected,
        mask,
    }
}

/// CP15BEN, ITD, SED, which are for AArch32 at EL0, and fixed where there is none.
const SCTLR_AARCH32: u64 = 1 << 5 | 1 << 7 | 1 << 8;

/// What the probe changes on its way in, as it was before.
pub static AT_ENTRY: &[Register] = &[
    // EL1, its own stack pointer, D, A, I and F masked (booting.rst; DEN0022, 6.4.3).
    entry("entry", "CurrentEL", |e| e.currentel, 1 << 2, ALL),
    entry("entry", "SPSel", |e| e.spsel, 1, ALL),
    entry("entry", "DAIF", |e| e.daif, 0xf << 6, ALL),
    // M = C = I = 0 (booting.rst), and RES1 as Armv8.0 has it (Arm ARM, D24.2, SCTLR_EL1): bits 29,
    // 28, 23, 22, 20 and 11.
    entry(
        "el1-registers",
        "SCTLR_EL1",
        |e| e.sctlr_el1,
        0x30d0_0800,
        !SCTLR_AARCH32,
    ),
    entry("el1-registers", "TCR_EL1", |e| e.tcr_el1, 0, ALL),
    entry("el1-registers", "MAIR_EL1", |e| e.mair_el1, 0, ALL),
    entry("el1-registers", "TTBR0_EL1", |e| e.ttbr0_el1, 0, ALL),
    entry("el1-registers", "VBAR_EL1", |e| e.vbar_el1, 0, ALL),
    entry("el1-registers", "TPIDR_EL1", |e| e.tpidr_el1, 0, ALL),
    entry("el1-registers", "SP_EL1", |e| e.sp_el1, 0, ALL),
    entry("timers", "CNTKCTL_EL1", |e| e.cntkctl_el1, 0, ALL),
];

/// What the boot CPU finds in x1 to x3 (booting.rst: "0, reserved for future use").
pub static AT_BOOT: &[Register] = &[
    entry("entry", "x1", |e| e.x1, 0, ALL),
    entry("entry", "x2", |e| e.x2, 0, ALL),
    entry("entry", "x3", |e| e.x3, 0, ALL),
];

/// A pattern for registers that nothing looks at.
const PATTERN: u64 = 0xa5a5_5a5a_c3c3_3c3c;
/// An address that nothing executes or accesses.
const ADDRESS: u64 = 0x1234_5000;
/// Where an LSB of an address may be fixed.
const PAGES: u64 = !0xfff;
/// PARTID and PMG of MPAM: above are switches, some of them read-only.
const MPAM_IDS: u64 = 0xffff_ffff_ffff;
/// CNT*_CTL_EL0: ENABLE and IMASK. ISTATUS says whether the condition holds, timer on or off.
const TIMER_CTL: u64 = 3;

registers! {
    pub static CONTROL = {
        in "el1-registers", always:
            // FPEN, ZEN, SMEN: open.
            "CPACR_EL1" => 3 << 20 | 3 << 16 | 3 << 24;
    }

    pub static GENERAL = {
        in "el1-registers", always:
            "TTBR1_EL1" => 0x42 << 48 | ADDRESS;
            "AMAIR_EL1" => PATTERN;
            "ESR_EL1" => 0x25 << 26 | 0x46;
            "FAR_EL1" => PATTERN;
            "AFSR0_EL1" => PATTERN;
            "AFSR1_EL1" => PATTERN;
            "ELR_EL1" => ADDRESS;
            "SPSR_EL1" => 0x3c5;
            // Bits 11 to 9 are no address and may be fixed.
            "PAR_EL1" mask !(7 << 9) => ADDRESS;
            "CSSELR_EL1" => 2;
            "SP_EL0" => PATTERN;
            "CONTEXTIDR_EL1" => 0x1234;
            "TPIDR_EL0" => PATTERN;
            "TPIDRRO_EL0" => PATTERN;
        in "el1-registers", tcr2:
            // PnCH: a hint of the walks.
            "S3_0_C2_C0_3" as "TCR2_EL1" => 1;
        in "el1-registers", sctlr2:
            // EnADERR: of asynchronous errors, of which there are none.
            "S3_0_C1_C0_3" as "SCTLR2_EL1" => 1 << 4;
        in "el1-registers", s1pie:
            "S3_0_C10_C2_2" as "PIRE0_EL1" => 0x1111;
            "S3_0_C10_C2_3" as "PIR_EL1" => 0x1111;
        in "el1-registers", s1poe:
            "S3_3_C10_C2_4" as "POR_EL0" => 0x1111;
            "S3_0_C10_C2_4" as "POR_EL1" => 0x1111;
        in "el1-registers", ordering_regions:
            "S3_0_C10_C4_3" as "LORC_EL1" => 1;
        in "el1-registers", mte:
            "S3_0_C1_C0_5" as "RGSR_EL1" => 0xaa05;
            "S3_0_C1_C0_6" as "GCR_EL1" => 0x1_5a5a;
            "S3_0_C5_C6_0" as "TFSR_EL1" => 3;
            "S3_0_C5_C6_1" as "TFSRE0_EL1" => 3;
        in "el1-registers", gcs:
            "S3_0_C2_C5_1" as "GCSPR_EL1" => ADDRESS;
            "S3_3_C2_C5_1" as "GCSPR_EL0" => ADDRESS;
        in "el1-registers", ras:
            "S3_0_C12_C1_1" as "DISR_EL1" => 1 << 31 | 1;
        in "el1-registers", mpam:
            "S3_0_C10_C5_0" as "MPAM1_EL1" mask MPAM_IDS => 1;
            "S3_0_C10_C5_1" as "MPAM0_EL1" mask MPAM_IDS => 1;

        in "pauth", address_auth:
            "S3_0_C2_C1_0" as "APIAKeyLo_EL1" => PATTERN;
            "S3_0_C2_C1_1" as "APIAKeyHi_EL1" => PATTERN;
            "S3_0_C2_C1_2" as "APIBKeyLo_EL1" => PATTERN;
            "S3_0_C2_C1_3" as "APIBKeyHi_EL1" => PATTERN;
            "S3_0_C2_C2_0" as "APDAKeyLo_EL1" => PATTERN;
            "S3_0_C2_C2_1" as "APDAKeyHi_EL1" => PATTERN;
            "S3_0_C2_C2_2" as "APDBKeyLo_EL1" => PATTERN;
            "S3_0_C2_C2_3" as "APDBKeyHi_EL1" => PATTERN;
        in "pauth", generic_auth:
            "S3_0_C2_C3_0" as "APGAKeyLo_EL1" => PATTERN;
            "S3_0_C2_C3_1" as "APGAKeyHi_EL1" => PATTERN;

        in "debug", always:
            // SS, KDE, MDE: DAIF.D masks them all.
            "MDSCR_EL1" => 1 | 1 << 13 | 1 << 15;
            "MDCCINT_EL1" => 1 << 30 | 1 << 29;
        in "debug", double_lock:
            "OSDLR_EL1" => 1;

        in "pmu", pmu:
            "PMCCNTR_EL0" => 0xffff_ffff_fff0_0000;
            // Not at EL0.
            "PMCCFILTR_EL0" => 1 << 30;
            "PMUSERENR_EL0" => 0xf;
            "PMSELR_EL0" => 3;
            "PMCNTENSET_EL0" => 1 << 31 | 0xf;
            "PMINTENSET_EL1" => 1 << 31 | 0xf;
            "PMOVSSET_EL0" => 1 << 31 | 0xf;
            // E, D, X, DP, LC; P and C read as zero, LC may be fixed.
            "PMCR_EL0" mask 0x3f => 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6;
        in "pmu", amu:
            "S3_3_C13_C2_3" as "AMUSERENR_EL0" => 1;

        in "trace", spe:
            "S3_0_C9_C10_0" as "PMBLIMITR_EL1" => ADDRESS;
            "S3_0_C9_C10_1" as "PMBPTR_EL1" => ADDRESS;
            "S3_0_C9_C10_3" as "PMBSR_EL1" => 1 << 17;
            "S3_0_C9_C9_0" as "PMSCR_EL1" => 3;
            "S3_0_C9_C9_2" as "PMSICR_EL1" => 0x1000;
            "S3_0_C9_C9_3" as "PMSIRR_EL1" => 0x1000;
            "S3_0_C9_C9_4" as "PMSFCR_EL1" => 7;
            "S3_0_C9_C9_5" as "PMSEVFR_EL1" => 2;
            "S3_0_C9_C9_6" as "PMSLATFR_EL1" => 5;
        in "trace", trace_filter:
            "S3_0_C1_C2_1" as "TRFCR_EL1" => 3;
        in "trace", trace_buffer:
            "S3_0_C9_C11_0" as "TRBLIMITR_EL1" => ADDRESS;
            "S3_0_C9_C11_1" as "TRBPTR_EL1" mask PAGES => ADDRESS;
            "S3_0_C9_C11_2" as "TRBBASER_EL1" mask PAGES => ADDRESS;
            "S3_0_C9_C11_3" as "TRBSR_EL1" => 1 << 17;
            "S3_0_C9_C11_4" as "TRBMAR_EL1" => 0xff;
            "S3_0_C9_C11_6" as "TRBTRG_EL1" => 1;
        in "trace", branch_records:
            "S2_1_C9_C0_0" as "BRBCR_EL1" => 3;
            "S2_1_C9_C0_1" as "BRBFCR_EL1" => 1 << 22;
    }

    pub static TIMERS = {
        in "timers", always:
            "CNTV_CTL_EL0" mask TIMER_CTL => 1;
            "CNTP_CTL_EL0" mask TIMER_CTL => 1;
            // Filled when they are armed.
            "CNTV_CVAL_EL0" => 0;
            "CNTP_CVAL_EL0" => 0;
    }

    // To be read with CPACR_EL1 open.
    pub static VECTOR = {
        in "vectors", sme:
            "S3_0_C1_C2_6" as "SMCR_EL1" => 1;
            "S3_0_C1_C2_4" as "SMPRI_EL1" => 3;
            "S3_3_C13_C0_5" as "TPIDR2_EL0" => PATTERN;
        in "vectors", sve:
            "S3_0_C1_C2_0" as "ZCR_EL1" => 0xf;
        in "vectors", fp:
            // FZ, RMode, DN; QC and the cumulative exceptions.
            "S3_3_C4_C4_0" as "FPCR" => 0x03c0_0000;
            "S3_3_C4_C4_1" as "FPSR" => 0x0800_009f;
        in "vectors", fpmr:
            "S3_3_C4_C4_2" as "FPMR" => 1;
    }
}
