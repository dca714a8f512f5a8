// SPDX-License-Identifier: Apache-2.0
//! Out of EL3 to EL2, as after a reset.

use crate::cpu::Start;
use crate::{board, gic};
use baton_sysreg::{read_sysreg, write_sysreg};
use core::arch::asm;

unsafe extern "C" {
    /// Enters EL2 at `entry`, with `context` in x0, on the CPU with this number.
    fn enter_el2(entry: u64, context: u64, number: usize) -> !;
}

/// Function id of SMCCC_ARCH_FEATURE_AVAILABILITY (DEN0028, 7.5).
pub const FEATURE_AVAILABILITY: u64 = 0xc000_0003;

/// `SCR_EL3`: NS, RES1, HCE, RW, and what later features have for the levels below: pointer
/// authentication (APK, API), EnSCXT, ATA, FGTEn, ECVEn, HXEn, EnTP2.
const SCR_EL3: u64 = 1 << 0 | 3 << 4 | 1 << 8 | 1 << 10 | LATER;
const LATER: u64 = 3 << 16 | 1 << 25 | 1 << 26 | 1 << 27 | 1 << 28 | 1 << 38 | 1 << 41;
/// `SCR_EL3.FIQ`.
const SCR_EL3_FIQ: u64 = 1 << 2;
/// `SCTLR_EL2`, `SCTLR_EL1`: RES1 bits alone, MMU and caches off.
const SCTLR_EL2: u64 = 0x30c5_0830;
const SCTLR_EL1: u64 = 0x30d0_0800;
/// `HCR_EL2`: VM, TGE. Nobody may build on the value that it has at reset.
const HCR_EL2: u64 = 1 << 0 | 1 << 27;
/// `CPTR_EL3`: EZ and ESM, so that nothing traps to EL3.
const CPTR_EL3: u64 = 1 << 8 | 1 << 12;
/// `MDCR_EL3`: nothing traps to EL3.
const MDCR_EL3: u64 = 0;
/// `CPTR_EL2`: all that can trap there does (TZ, TFP, TSM, TTA).
const CPTR_EL2: u64 = 0x33ff | 1 << 10 | 1 << 20;
/// What is in registers of which a reset says nothing: the address of nothing.
const UNKNOWN: u64 = 0xdead_dead_dead_d000;

/// What SMCCC_ARCH_FEATURE_AVAILABILITY says of the register of EL3 with this encoding: bits that are set
/// where nothing traps (DEN0028, 7.5).
pub fn open_features(register: u64) -> Option<u64> {
    // TAM, TFP; TPM, TDA, TDOSA, TTRF: in the registers they are traps.
    const CPTR_TRAPS: u64 = 1 << 30 | 1 << 10;
    const MDCR_TRAPS: u64 = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 19;
    // SAFETY: They are registers of EL3, where this runs.
    unsafe {
        match register {
            0x1e_1100 => Some(read_sysreg!(SCR_EL3)),
            0x1e_1140 => Some(read_sysreg!(CPTR_EL3) ^ CPTR_TRAPS),
            0x1e_1320 => Some(read_sysreg!(MDCR_EL3) ^ MDCR_TRAPS),
            _ => None,
        }
    }
}

/// Begins at `start`, EL2, as after a reset.
pub fn begin(number: usize, start: Start) -> ! {
    let [scr_traps, cptr_traps, mdcr_traps] = board::traps();
    let fiq = if board::fiq_to_el3() { SCR_EL3_FIQ } else { 0 };
    // SAFETY: EL3 runs with the MMU off and takes no interrupt. All but those of EL3 are registers of
    // the levels below, which begin anew.
    unsafe {
        write_sysreg!(SCR_EL3, (SCR_EL3 | fiq) ^ scr_traps);
        write_sysreg!(CPTR_EL3, CPTR_EL3 ^ cptr_traps);
        write_sysreg!(MDCR_EL3, MDCR_EL3 ^ mdcr_traps);
        write_sysreg!(CPTR_EL2, CPTR_EL2);
        write_sysreg!(HCR_EL2, HCR_EL2);
        write_sysreg!(SCTLR_EL2, SCTLR_EL2);
        write_sysreg!(SCTLR_EL1, SCTLR_EL1);
        write_sysreg!(VBAR_EL2, UNKNOWN);
        write_sysreg!(TTBR0_EL2, UNKNOWN);
        write_sysreg!(TCR_EL2, UNKNOWN);
        write_sysreg!(MAIR_EL2, UNKNOWN);
        write_sysreg!(TPIDR_EL2, UNKNOWN);
        write_sysreg!(SP_EL2, UNKNOWN);
        write_sysreg!(ELR_EL2, UNKNOWN);
        write_sysreg!(VTTBR_EL2, UNKNOWN);
        write_sysreg!(VTCR_EL2, UNKNOWN);
        write_sysreg!(VMPIDR_EL2, UNKNOWN);
        write_sysreg!(VPIDR_EL2, UNKNOWN);
        write_sysreg!(CNTVOFF_EL2, UNKNOWN);
        write_sysreg!(CNTHCTL_EL2, 0);
        write_sysreg!(HSTR_EL2, UNKNOWN);
        write_sysreg!(VBAR_EL1, UNKNOWN);
        write_sysreg!(TTBR0_EL1, UNKNOWN);
        write_sysreg!(TTBR1_EL1, UNKNOWN);
        write_sysreg!(TCR_EL1, UNKNOWN);
        write_sysreg!(MAIR_EL1, UNKNOWN);
        write_sysreg!(TPIDR_EL1, UNKNOWN);
        write_sysreg!(TPIDR_EL0, UNKNOWN);
        write_sysreg!(SP_EL1, UNKNOWN);
        write_sysreg!(ELR_EL1, UNKNOWN);
        write_sysreg!(CNTKCTL_EL1, UNKNOWN);
        write_sysreg!(CONTEXTIDR_EL1, UNKNOWN);
        asm!("isb");
        gic::lose_cpu_interface();
        enter_el2(start.entry, start.context, number)
    }
}
