// SPDX-License-Identifier: Apache-2.0
//! The registers of a CPU that a kernel can leave something in: what they are filled with, and what
//! the next kernel may expect.
//!
//! Where a reset leaves a register UNKNOWN (Arm ARM, D24.2), as it does with most of them, the value
//! expected is zero: nothing of the old kernel. What is not zero says where it comes from.

use super::features::Features;
use crate::entry_state::EntryState;
use baton_abi::steps;
use baton_sysreg::{read_sysreg, write_sysreg};

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
    (@mask) => { ALL };
    (@mask $mask:expr) => { $mask };
    ($($visibility:vis static $table:ident = {
        $([$step:ident, $there:ident]
            $($name:ident $(mask $mask:expr)? => $dirt:expr;)+
        )+
    })+) => {
        $($visibility static $table: &[Register] = &[$($(
            Register {
                step: steps::$step,
                name: stringify!($name),
                there: Features::$there,
                // One that an emulator ignores reads as zero.
                // SAFETY: `there` says so; reading it has no effect.
                read: |_| unsafe { read_sysreg!($name or 0) },
                // SAFETY: `there` says so, and the value is one that the probe can live with.
                write: Some(|value| unsafe { write_sysreg!($name, value) }),
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
    entry(steps::ENTRY, "CurrentEL", |e| e.currentel, 1 << 2, ALL),
    entry(steps::ENTRY, "SPSel", |e| e.spsel, 1, ALL),
    entry(steps::ENTRY, "DAIF", |e| e.daif, 0xf << 6, ALL),
    // M = C = I = 0 (booting.rst), and RES1 as Armv8.0 has it (Arm ARM, D24.2, SCTLR_EL1): bits 29,
    // 28, 23, 22, 20 and 11.
    entry(
        steps::EL1_REGISTERS,
        "SCTLR_EL1",
        |e| e.sctlr_el1,
        0x30d0_0800,
        !SCTLR_AARCH32,
    ),
    entry(steps::EL1_REGISTERS, "TCR_EL1", |e| e.tcr_el1, 0, ALL),
    entry(steps::EL1_REGISTERS, "MAIR_EL1", |e| e.mair_el1, 0, ALL),
    entry(steps::EL1_REGISTERS, "TTBR0_EL1", |e| e.ttbr0_el1, 0, ALL),
    entry(steps::EL1_REGISTERS, "VBAR_EL1", |e| e.vbar_el1, 0, ALL),
    entry(steps::EL1_REGISTERS, "TPIDR_EL1", |e| e.tpidr_el1, 0, ALL),
    entry(steps::EL1_REGISTERS, "SP_EL1", |e| e.sp_el1, 0, ALL),
    entry(steps::TIMERS, "CNTKCTL_EL1", |e| e.cntkctl_el1, 0, ALL),
];

/// What the boot CPU finds in x1 to x3 (booting.rst: "0, reserved for future use").
pub static AT_BOOT: &[Register] = &[
    entry(steps::ENTRY, "x1", |e| e.x1, 0, ALL),
    entry(steps::ENTRY, "x2", |e| e.x2, 0, ALL),
    entry(steps::ENTRY, "x3", |e| e.x3, 0, ALL),
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
        [EL1_REGISTERS, always]
            // FPEN, ZEN, SMEN: open.
            CPACR_EL1 => 3 << 20 | 3 << 16 | 3 << 24;
    }

    pub static GENERAL = {
        [EL1_REGISTERS, always]
            TTBR1_EL1 => 0x42 << 48 | ADDRESS;
            AMAIR_EL1 => PATTERN;
            ESR_EL1 => 0x25 << 26 | 0x46;
            FAR_EL1 => PATTERN;
            AFSR0_EL1 => PATTERN;
            AFSR1_EL1 => PATTERN;
            ELR_EL1 => ADDRESS;
            SPSR_EL1 => 0x3c5;
            // Bits 11 to 9 are no address and may be fixed.
            PAR_EL1 mask !(7 << 9) => ADDRESS;
            CSSELR_EL1 => 2;
            SP_EL0 => PATTERN;
            CONTEXTIDR_EL1 => 0x1234;
            TPIDR_EL0 => PATTERN;
            TPIDRRO_EL0 => PATTERN;
        [EL1_REGISTERS, tcr2]
            // PnCH: a hint of the walks.
            TCR2_EL1 => 1;
        [EL1_REGISTERS, sctlr2]
            // EnADERR: of asynchronous errors, of which there are none.
            SCTLR2_EL1 => 1 << 4;
        [EL1_REGISTERS, s1pie]
            PIRE0_EL1 => 0x1111;
            PIR_EL1 => 0x1111;
        [EL1_REGISTERS, s1poe]
            POR_EL0 => 0x1111;
            POR_EL1 => 0x1111;
        [EL1_REGISTERS, ordering_regions]
            LORC_EL1 => 1;
        [EL1_REGISTERS, mte]
            RGSR_EL1 => 0xaa05;
            GCR_EL1 => 0x1_5a5a;
            TFSR_EL1 => 3;
            TFSRE0_EL1 => 3;
        [EL1_REGISTERS, gcs]
            GCSPR_EL1 => ADDRESS;
            GCSPR_EL0 => ADDRESS;
        [EL1_REGISTERS, ras]
            DISR_EL1 => 1 << 31 | 1;
        [EL1_REGISTERS, mpam]
            MPAM1_EL1 mask MPAM_IDS => 1;
            MPAM0_EL1 mask MPAM_IDS => 1;

        [PAUTH, address_auth]
            APIAKeyLo_EL1 => PATTERN;
            APIAKeyHi_EL1 => PATTERN;
            APIBKeyLo_EL1 => PATTERN;
            APIBKeyHi_EL1 => PATTERN;
            APDAKeyLo_EL1 => PATTERN;
            APDAKeyHi_EL1 => PATTERN;
            APDBKeyLo_EL1 => PATTERN;
            APDBKeyHi_EL1 => PATTERN;
        [PAUTH, generic_auth]
            APGAKeyLo_EL1 => PATTERN;
            APGAKeyHi_EL1 => PATTERN;

        [DEBUG, always]
            // SS, KDE, MDE: DAIF.D masks them all.
            MDSCR_EL1 => 1 | 1 << 13 | 1 << 15;
            MDCCINT_EL1 => 1 << 30 | 1 << 29;
        [DEBUG, double_lock]
            OSDLR_EL1 => 1;

        [PMU, pmu]
            PMCCNTR_EL0 => 0xffff_ffff_fff0_0000;
            // Not at EL0.
            PMCCFILTR_EL0 => 1 << 30;
            PMUSERENR_EL0 => 0xf;
            PMSELR_EL0 => 3;
            PMCNTENSET_EL0 => 1 << 31 | 0xf;
            PMINTENSET_EL1 => 1 << 31 | 0xf;
            PMOVSSET_EL0 => 1 << 31 | 0xf;
            // E, D, X, DP, LC; P and C read as zero, LC may be fixed.
            PMCR_EL0 mask 0x3f => 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6;
        [PMU, amu]
            AMUSERENR_EL0 => 1;

        [TRACE, spe]
            PMBLIMITR_EL1 => ADDRESS;
            PMBPTR_EL1 => ADDRESS;
            PMBSR_EL1 => 1 << 17;
            PMSCR_EL1 => 3;
            PMSICR_EL1 => 0x1000;
            PMSIRR_EL1 => 0x1000;
            PMSFCR_EL1 => 7;
            PMSEVFR_EL1 => 2;
            PMSLATFR_EL1 => 5;
        [TRACE, trace_filter]
            TRFCR_EL1 => 3;
        [TRACE, trace_buffer]
            TRBLIMITR_EL1 => ADDRESS;
            TRBPTR_EL1 mask PAGES => ADDRESS;
            TRBBASER_EL1 mask PAGES => ADDRESS;
            TRBSR_EL1 => 1 << 17;
            TRBMAR_EL1 => 0xff;
            TRBTRG_EL1 => 1;
        [TRACE, branch_records]
            BRBCR_EL1 => 3;
            BRBFCR_EL1 => 1 << 22;
    }

    pub static TIMERS = {
        [TIMERS, always]
            CNTV_CTL_EL0 mask TIMER_CTL => 1;
            CNTP_CTL_EL0 mask TIMER_CTL => 1;
            // Filled when they are armed.
            CNTV_CVAL_EL0 => 0;
            CNTP_CVAL_EL0 => 0;
    }

    // To be read with CPACR_EL1 open.
    pub static VECTOR = {
        [VECTORS, sme]
            SMCR_EL1 => 1;
            SMPRI_EL1 => 3;
            TPIDR2_EL0 => PATTERN;
        [VECTORS, sve]
            ZCR_EL1 => 0xf;
        [VECTORS, fp]
            // FZ, RMode, DN; QC and the cumulative exceptions.
            FPCR => 0x03c0_0000;
            FPSR => 0x0800_009f;
        [VECTORS, fpmr]
            FPMR => 1;
    }
}
