// SPDX-License-Identifier: Apache-2.0
//! `test=os-lock`: the locks of the debug registers are as the architecture has them (Arm ARM, D24.3), each
//! CPU's its own.

use crate::console::say;
use crate::context::Context;
use crate::cpu::Cpu;
use crate::outcome::{Outcome, expect};
use baton_sysreg::{read_sysreg, write_sysreg};

/// `OSLSR_EL1`: OSLM, and OSLK beside it.
const OPEN: u64 = 0b1000;
const HELD: u64 = 0b1010;
/// Where `ID_AA64DFR0_EL1.DoubleLock` is; 0 if there is one.
const DOUBLE_LOCK: u32 = 36;

/// Opens and locks those of this CPU, and looks at those of the others.
pub fn run(context: &Context) -> Outcome {
    expect("OSLSR_EL1 after a reset", HELD, os_lock())?;
    for (value, expected) in [(0, OPEN), (1, HELD), (!1, OPEN)] {
        // SAFETY: no debug exception is enabled.
        unsafe { write_sysreg!(OSLAR_EL1, value) };
        let what = format_args!("OSLSR_EL1 with {value:#x} in OSLAR_EL1");
        expect(what, expected, os_lock())?;
    }
    // SAFETY: ID registers can be read.
    let there = u64::from(unsafe { read_sysreg!(ID_AA64DFR0_EL1) } >> DOUBLE_LOCK & 0xf == 0);
    expect("OSDLR_EL1 after a reset", 0, double_lock())?;
    for (value, expected) in [(1, there), (0, 0)] {
        // SAFETY: as above.
        unsafe { write_sysreg!(OSDLR_EL1, value) };
        let what = format_args!("OSDLR_EL1 with {value} in it");
        expect(what, expected, double_lock())?;
    }
    context.cpus.bring_up(context.cpus.others())?;
    for cpu in context.cpus.others() {
        let what = format_args!("OSLSR_EL1 of CPU {:#x}", cpu.mpidr());
        expect(what, HELD, cpu.run(look, 0)?)?;
    }
    say!("OS lock: good");
    Ok(())
}

/// A job: reads the CPU's OS lock.
fn look(_: &'static Cpu, _: u64) -> u64 {
    os_lock()
}

fn os_lock() -> u64 {
    // SAFETY: it is there on every CPU.
    unsafe { read_sysreg!(OSLSR_EL1) }
}

fn double_lock() -> u64 {
    // SAFETY: it is there on every CPU, and zero without FEAT_DoubleLock.
    unsafe { read_sysreg!(OSDLR_EL1) }
}
