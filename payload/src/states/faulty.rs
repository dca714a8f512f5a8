// SPDX-License-Identifier: Apache-2.0
//! CPUs that take exceptions for ever.

use super::running::beat;
use crate::cpu::{Cpu, Frame};
use crate::hints;
use crate::monitor;
use core::arch::asm;

/// SPSR.SS: the instruction that is returned to is stepped.
const SPSR_SS: u64 = 1 << 21;
/// SPSR.D: debug exceptions are masked.
const SPSR_D: u64 = 1 << 9;
/// `ESR_EL1.EC` of BRK.
const EC_BRK: u64 = 0x3c;
/// An address that the probe maps as device memory, and where nothing is.
const NOWHERE: u64 = 0x78_0000_0000;

/// Runs with an exception after each instruction (Arm ARM, "Software Step exceptions").
pub fn single_step(this: &'static Cpu, _: u64) -> u64 {
    this.set_handler(step);
    // SAFETY: the OS lock keeps the exceptions away; MDSCR_EL1.KDE and SS ask for them at EL1. BRK
    // goes to `step`, which begins.
    unsafe {
        asm!(
            "msr oslar_el1, xzr",
            "isb",
            "msr mdscr_el1, {}",
            "isb",
            "brk #0",
            in(reg) 1_u64 << 13 | 1,
            options(nostack)
        );
    }
    this.say_reached();
    loop {
        beat(this, 0);
    }
}

fn step(_: &'static Cpu, frame: &mut Frame) {
    if frame.esr >> 26 & 0x3f == EC_BRK {
        frame.elr += 4;
    }
    frame.spsr = frame.spsr & !SPSR_D | SPSR_SS;
    hints::relax();
}

/// Loads from the monitor's memory, takes the abort, and tries again.
pub fn fault_loop(this: &'static Cpu, _: u64) -> u64 {
    fn again(this: &'static Cpu, _: &mut Frame) {
        beat(this, 0);
        hints::relax();
    }
    this.set_handler(again);
    this.say_reached();
    // SAFETY: the load never ends.
    unsafe { (monitor::memory() as *const u64).read_volatile() }
}

/// Takes an exception whose vector cannot be fetched: an exception as well.
pub fn vector_loop(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    // SAFETY: nothing of this CPU runs after that.
    unsafe {
        asm!(
            "msr vbar_el1, {}",
            "isb",
            "brk #0",
            in(reg) NOWHERE,
            options(noreturn)
        )
    }
}

/// Takes an exception with a stack pointer that leads nowhere: its handler's first store is an
/// exception as well.
pub fn corrupt_stack(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    // SAFETY: nothing of this CPU runs after that.
    unsafe { asm!("mov sp, {}", "brk #0", in(reg) NOWHERE, options(noreturn)) }
}
