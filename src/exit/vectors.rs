// SPDX-License-Identifier: Apache-2.0
//! Where `vectors.S` goes on in Rust. Here, and in a panic, the machine is fetched; everyone below is
//! handed it.

use super::{dispatch, dispatch_unmap, inject, panic, run};
use crate::firmware::EVENT_WAITS;
use crate::firmware::sdei;
use crate::kexec_hooks::crash_interrupt;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::report;
use crate::vcpu::frame::Frame;
use baton_core::sdei::id;
use baton_sysreg::read_sysreg;
use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::Ordering::Relaxed;

global_asm!(
    include_str!("vectors.S"),
    FRAME_SIZE = const size_of::<Frame>(),
    FRAME_X = const offset_of!(Frame, x),
    FRAME_ELR = const offset_of!(Frame, elr),
    CPU_STACK_TOP = const offset_of!(Cpu, stack_top),
    CPU_CRASH_ASKED = const offset_of!(Cpu, crash_asked),
    EVENT_WAITS = const EVENT_WAITS,
    EVENT_COMPLETE = const id::EVENT_COMPLETE,
);

// `vectors.S` makes a frame by storing the first of these.
const _: () = assert!(offset_of!(Frame, x) == 0);
// It stores them as a pair.
const _: () = assert!(offset_of!(Frame, spsr) == offset_of!(Frame, elr) + 8);
// It counts on this.
const _: () = assert!(id::EVENT_COMPLETE_AND_RESUME == id::EVENT_COMPLETE + 1);

/// A synchronous exception of the guest.
#[unsafe(no_mangle)]
extern "C" fn exit_from_guest(frame: &mut Frame) {
    let (Some(machine), Some(cpu)) = (Machine::installed(), Cpu::current()) else {
        panic!("a guest runs before the machine is installed");
    };
    if dispatch_unmap(machine, cpu, frame).is_none() {
        see_to(machine, cpu, frame);
    }
}

/// Any but those of an unmap, which so have no registers to save. Where a CPU has panicked, the guest comes here at its
/// next access to memory.
#[inline(never)]
fn see_to(machine: &Machine, cpu: &Cpu, frame: &mut Frame) {
    panic::stop_if_over();
    let next = dispatch(machine, cpu, frame);
    run::run(machine, cpu, next, frame);
    report::show_log(machine);
}

/// The crash interrupt has come to this CPU, which is about to leave for its guest at `frame`.
#[unsafe(no_mangle)]
extern "C" fn exit_by_crash_interrupt(frame: &mut Frame) {
    panic::stop_if_over();
    let (Some(machine), Some(cpu)) = (Machine::installed(), Cpu::current()) else {
        panic!("an interrupt is bound before the machine is installed");
    };
    sdei::seen_to();
    cpu.crash_asked.store(false, Relaxed);
    let next = crash_interrupt::asked(machine, cpu, frame);
    run::run(machine, cpu, next, frame);
    report::show_log(machine);
}

/// An exception that the guest cannot cause as the CPUs are set up.
#[unsafe(no_mangle)]
extern "C" fn exit_unexpected(frame: &mut Frame, vector: u64) {
    let index = Cpu::current().map_or(0, |cpu| cpu.index);
    log::error!(
        "cpu {index}: unexpected exception, vector {vector}, in the guest at {:#x}: it gets an undefined instruction",
        frame.elr
    );
    inject::undefined(frame);
}

/// An exception in the monitor itself.
#[unsafe(no_mangle)]
extern "C" fn exit_from_el2(frame: &Frame, vector: u64) -> ! {
    // SAFETY: Both describe the exception that was just taken.
    let (esr, far) = unsafe { (read_sysreg!(ESR_EL2), read_sysreg!(FAR_EL2)) };
    if Cpu::current().is_some_and(|cpu| cpu.guard().contains(&far)) {
        panic!("stack overflow at {:#x}, FAR_EL2 {far:#x}", frame.elr);
    }
    panic!(
        "exception in the monitor: vector {vector}, ESR_EL2 {esr:#x}, FAR_EL2 {far:#x}, ELR_EL2 {:#x}",
        frame.elr
    );
}
