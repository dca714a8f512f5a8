// SPDX-License-Identifier: Apache-2.0
//! The first WFI of a CPU in a generation, and those of one whose CPU interface masks the kick (see
//! `takeover::listen`).

use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::machine::next::Next;
use crate::takeover::listen::listening;
use crate::vcpu::el2;
use crate::vcpu::frame::Frame;

/// ISS.TI: which instruction it was; 0 for WFI.
const TI: u64 = 3;
/// SPSR.M\[4\]: AArch32.
const AARCH32: u64 = 1 << 4;

/// Waits in the guest's place if no kick would wake it; otherwise it waits by itself from now on.
pub fn handle(machine: &Machine, cpu: &Cpu, frame: &mut Frame, esr: u64) -> Next {
    // WFIT has a limit of its own, and AArch32 instructions of two lengths: neither is done here.
    let plain = esr & TI == 0 && frame.spsr & AARCH32 == 0;
    if !plain || !machine.gic.kick_is_masked() {
        el2::trap_wfi(false);
        return Next::Resume;
    }
    match listening(machine, cpu, el2::wait_for_interrupt) {
        // Whatever ended it: a WFI may end for no reason.
        Some(()) => {
            frame.skip();
            Next::Resume
        }
        None => Next::Join,
    }
}
