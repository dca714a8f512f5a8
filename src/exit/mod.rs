// SPDX-License-Identifier: Apache-2.0
//! Exits: what brings a CPU into the monitor, and where it goes on.
//!
//! vector (`vectors.S`) → dispatch (here) → service (`smccc`, `stage2_fault`,
//! [`crate::kexec_hooks`]) → register. A service returns what its CPU does next, and `run` does it.

mod inject;
mod os_lock;
mod panic;
pub mod run;
mod smccc;
mod stage2_fault;
mod vectors;
mod wait;

pub use panic::panicked;

use crate::kexec_hooks;
use crate::machine::Machine;
use crate::machine::counters::Cause;
use crate::machine::cpu::Cpu;
use crate::machine::next::Next;
use crate::vcpu::frame::Frame;
use baton_core::smccc::Conduit;
use baton_sysreg::read_sysreg;

/// ESR_ELx.EC (Arm ARM, ESR_EL2).
mod class {
    pub const WFX: u64 = 0x01;
    pub const HVC64: u64 = 0x16;
    pub const SMC64: u64 = 0x17;
    pub const SYSTEM_REGISTER: u64 = 0x18;
    pub const INSTRUCTION_ABORT_LOWER: u64 = 0x20;
    pub const DATA_ABORT_LOWER: u64 = 0x24;
}

/// Sees to the exception by which a driver tells an SMMU with a fence of an unmap: a kernel has one for each. `None` if
/// it is another; otherwise the guest goes on.
#[inline(always)]
fn dispatch_unmap(machine: &Machine, cpu: &Cpu, frame: &mut Frame) -> Option<()> {
    // SAFETY: ESR_EL2 describes the exception that was just taken.
    let esr = unsafe { read_sysreg!(ESR_EL2) };
    stage2_fault::unmap(machine, cpu, frame, esr)
}

/// Sees to a synchronous exception of the guest, from AArch64 or from AArch32 at EL0.
fn dispatch(machine: &Machine, cpu: &Cpu, frame: &mut Frame) -> Next {
    // SAFETY: ESR_EL2 describes the exception that was just taken.
    let esr = unsafe { read_sysreg!(ESR_EL2) };
    // Whatever brought the CPU here: its generation has ended, and its kernel is no more or begins again
    // with the instruction that trapped.
    if machine.takeover.rendezvous.is_over(&cpu.member) {
        if esr >> 26 == class::HVC64 {
            frame.repeat_call();
        }
        return Next::Join;
    }
    match (esr >> 26, esr & 0xffff) {
        (class::HVC64, 0) => {
            cpu.exits.count(Cause::Call);
            return smccc::dispatch(machine, cpu, frame, Conduit::Hvc);
        }
        (class::HVC64, immediate) => {
            if let Some(next) = kexec_hooks::hit(machine, cpu, frame, immediate) {
                return next;
            }
            cpu.exits.count(Cause::Other);
            inject::undefined(frame);
        }
        (class::SMC64, 0) => {
            cpu.exits.count(Cause::Call);
            // The return address of a trapped SMC is the SMC.
            frame.skip();
            return smccc::dispatch(machine, cpu, frame, Conduit::Smc);
        }
        (class::WFX, _) => {
            cpu.exits.count(Cause::Other);
            return wait::handle(machine, cpu, frame, esr);
        }
        (class::INSTRUCTION_ABORT_LOWER | class::DATA_ABORT_LOWER, _) => {
            stage2_fault::handle(machine, cpu, frame, esr);
        }
        (class::SYSTEM_REGISTER, _) => {
            cpu.exits.count(Cause::Other);
            if os_lock::handle(cpu, frame, esr).is_none() {
                unhandled(cpu, frame, esr);
            }
        }
        _ => {
            cpu.exits.count(Cause::Other);
            unhandled(cpu, frame, esr);
        }
    }
    Next::Resume
}

fn unhandled(cpu: &Cpu, frame: &mut Frame, esr: u64) {
    log::debug!(
        "cpu {}: unhandled exit at {:#x}, ESR_EL2 {esr:#x}: the guest gets an undefined instruction",
        cpu.index,
        frame.elr
    );
    inject::undefined(frame);
}
