//! Exits: what brings a CPU into the monitor, and where it is taken from here.
//!
//! vector (`vectors.S`) → dispatch (here) → service ([`calls`], [`abort`], [`crate::hooks`])
//! → register.

mod abort;
mod calls;
mod frame;
mod inject;
mod panic;
mod wait;

pub use frame::{EL1H_MASKED, Frame};
pub use panic::panicked;

use crate::cpu::{Cause, Cpu};
use crate::machine::Machine;
use crate::{hooks, teardown};
use baton_sysreg::read_sysreg;
use calls::Conduit;
use core::arch::global_asm;

global_asm!(include_str!("vectors.S"));

/// ESR_ELx.EC (Arm ARM, ESR_EL2).
mod class {
    pub const WFX: u64 = 0x01;
    pub const HVC64: u64 = 0x16;
    pub const SMC64: u64 = 0x17;
    pub const INSTRUCTION_ABORT_LOWER: u64 = 0x20;
    pub const DATA_ABORT_LOWER: u64 = 0x24;
}

/// A synchronous exception of the guest, whether from AArch64 or from AArch32 at EL0.
#[unsafe(no_mangle)]
extern "C" fn exit_from_guest(frame: &mut Frame) {
    panic::stop_if_over();
    let cpu = Cpu::current();
    // The generation may have ended: whatever brought the CPU here, its kernel is no more.
    if Machine::get().takeover.rendezvous.is_over(&cpu.member) {
        teardown::join(cpu);
    }
    // SAFETY: ESR_EL2 describes the exception that was just taken.
    let esr = unsafe { read_sysreg!(ESR_EL2) };
    match (esr >> 26, esr & 0xffff) {
        (class::HVC64, 0) => {
            cpu.exits.count(Cause::Call);
            calls::dispatch(cpu, frame, Conduit::Hvc);
        }
        (class::HVC64, immediate) => {
            if !hooks::hit(cpu, frame, immediate) {
                cpu.exits.count(Cause::Other);
                inject::undefined(frame);
            }
        }
        (class::SMC64, 0) => {
            cpu.exits.count(Cause::Call);
            // The return address of a trapped SMC is the SMC.
            frame.skip();
            calls::dispatch(cpu, frame, Conduit::Smc);
        }
        (class::WFX, _) => {
            cpu.exits.count(Cause::Other);
            wait::handle(cpu, frame, esr);
        }
        (class::INSTRUCTION_ABORT_LOWER | class::DATA_ABORT_LOWER, _) => {
            abort::handle(cpu, frame, esr);
        }
        _ => {
            cpu.exits.count(Cause::Other);
            log::debug!("cpu {}: ESR_EL2 {esr:#x} at {:#x}", cpu.index, frame.elr);
            inject::undefined(frame);
        }
    }
}

/// An exception that the guest cannot cause as the CPUs are set up.
#[unsafe(no_mangle)]
extern "C" fn exit_unexpected(frame: &mut Frame, vector: u64) {
    let index = Cpu::current().index;
    log::error!(
        "cpu {index}: vector {vector} taken at {:#x} in the guest",
        frame.elr
    );
    inject::undefined(frame);
}

/// An exception in the monitor itself.
#[unsafe(no_mangle)]
extern "C" fn exit_from_el2(frame: &Frame, vector: u64) -> ! {
    // SAFETY: Both describe the exception that was just taken.
    let (esr, far) = unsafe { (read_sysreg!(ESR_EL2), read_sysreg!(FAR_EL2)) };
    if Cpu::try_current().is_some_and(|cpu| cpu.guard().contains(&far)) {
        panic!("stack overflow at {:#x}, FAR_EL2 {far:#x}", frame.elr);
    }
    panic!(
        "exception in the monitor: vector {vector}, ESR_EL2 {esr:#x}, FAR_EL2 {far:#x}, ELR_EL2 {:#x}",
        frame.elr
    );
}
