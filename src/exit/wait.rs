//! The first WFI of a CPU in a generation, and those of one that hears no interrupt (see
//! `cpu::listening`).

use super::Frame;
use crate::cpu::{self, Cpu};
use crate::machine::Machine;
use crate::teardown;
use crate::vcpu::el2;

/// ISS.TI: which instruction it was; 0 for WFI.
const TI: u64 = 3;
/// SPSR.M\[4\]: AArch32.
const AARCH32: u64 = 1 << 4;

/// Waits in the guest's place if no kick would wake it; otherwise it waits by itself from now on.
pub fn handle(cpu: &'static Cpu, frame: &mut Frame, esr: u64) {
    // WFIT has a limit of its own, and AArch32 instructions of two lengths: neither is done here.
    let plain = esr & TI == 0 && frame.spsr & AARCH32 == 0;
    if !plain || !Machine::get().gic.is_deaf() {
        el2::trap_wfi(false);
        return;
    }
    match cpu::listening(cpu, el2::wait_for_interrupt) {
        // Whatever ended it: a WFI may end for no reason.
        Some(()) => frame.skip(),
        None => teardown::join(cpu),
    }
}
