// SPDX-License-Identifier: Apache-2.0
//! Exceptions handed to the guest (Arm ARM, AArch64.TakeException).

use super::class;
use crate::vcpu::frame::Frame;
use baton_core::pstate;
use baton_sysreg::{read_sysreg, write_sysreg};

/// ESR_ELx.EC of an unknown instruction, and ESR_ELx.IL.
const UNKNOWN: u64 = 0;
const IL: u64 = 1 << 25;
/// ESR_ELx.EC of aborts from the level below, and from the same level one up.
const INSTRUCTION_ABORT: u64 = 0x20;
const DATA_ABORT: u64 = 0x24;
/// ISS: synchronous external abort; and that of a table walk, its level in bits 1 and 0.
const EXTERNAL: u64 = 0x10;
const EXTERNAL_WALK: u64 = 0x14;

/// The instruction at the guest's ELR is undefined.
pub fn undefined(frame: &mut Frame) {
    // HVC returns behind itself; what is undefined is the instruction.
    // SAFETY: ESR_EL2 describes the exception that was just taken.
    if unsafe { read_sysreg!(ESR_EL2) } >> 26 == class::HVC64 {
        frame.elr -= 4;
    }
    take(frame, UNKNOWN << 26 | IL, None);
}

/// The access at virtual address `far`, or its table walk at `level`, was answered by an external
/// abort.
pub fn abort(frame: &mut Frame, far: u64, fetch: bool, walk: Option<u32>) {
    let status = walk.map_or(EXTERNAL, |level| EXTERNAL_WALK | u64::from(level));
    let class = if fetch { INSTRUCTION_ABORT } else { DATA_ABORT };
    let same_level = u64::from(frame.spsr & 0xf != 0);
    take(frame, (class + same_level) << 26 | IL | status, Some(far));
}

fn take(frame: &mut Frame, esr: u64, far: Option<u64>) {
    // Vector offsets: EL1 with SP_EL0, EL1 with SP_EL1, EL0 in AArch64, EL0 in AArch32.
    let offset = match frame.spsr & 0x1f {
        0x4 => 0x000,
        0x5 => 0x200,
        0x0 => 0x400,
        _ => 0x600,
    };
    // SAFETY: These are the guest's registers, as exception entry would write them.
    unsafe {
        write_sysreg!(ESR_EL1, esr);
        if let Some(far) = far {
            write_sysreg!(FAR_EL1, far);
        }
        write_sysreg!(ELR_EL1, frame.elr);
        write_sysreg!(SPSR_EL1, frame.spsr);
        let pfr1 = read_sysreg!(ID_AA64PFR1_EL1);
        let gcscr = if pstate::has_gcs(pfr1) {
            read_sysreg!(GCSCR_EL1)
        } else {
            0
        };
        frame.spsr = pstate::taken_to_el1(frame.spsr, read_sysreg!(SCTLR_EL1), gcscr, pfr1);
        frame.elr = read_sysreg!(VBAR_EL1).wrapping_add(offset);
    }
}
