// SPDX-License-Identifier: Apache-2.0
//! Sleep in which a guest masks its interrupts at the CPU interface, and is kicked none the less.
//!
//! A CPU that waits by WFI can be taken only if an interrupt wakes it, and whether one reaches it is
//! up to its CPU interface: `ICC_IGRPEN1_EL1`, which is 0 at reset, and `ICC_PMR_EL1`. No other CPU can
//! write these, and nothing else ends a WFI that other CPUs could send: events end WFE alone, and
//! `GICR_WAKER` or a redistributor's enables lie before the interface. So a CPU whose interface masks
//! the kick sleeps in the monitor instead, with the interface open for the highest priority, which
//! the kick gives its SGI from outside.
//!
//! That costs a guest one exit a CPU: its first WFI in a generation traps (`HCR_EL2.TWI`), and if the
//! interface is on, as every kernel has it that waits for interrupts, none traps any more. A CPU that
//! masks its interface after that, and sleeps by WFI, stays out of reach, as does one that sleeps
//! while it handles an interrupt of the highest priority: these are named in the report and left
//! behind. To catch them too, every write of the interface, or every WFI, would have to exit.

use crate::arch::barrier;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use core::sync::atomic::Ordering::Relaxed;

/// Runs `wait`, which puts this CPU to sleep until an interrupt comes, so that a kick ends it even if
/// the guest masks it at its CPU interface; not at all if the guest's kernel is over.
///
/// What interrupts the guest sees when it wakes is as it left it.
pub fn listening<T>(machine: &Machine, cpu: &Cpu, wait: impl FnOnce() -> T) -> Option<T> {
    if !machine.gic.kick_is_masked() {
        return Some(wait());
    }
    machine.gic.listening(|| {
        let listening = &machine.takeover.listening;
        listening.fetch_add(1, Relaxed);
        cpu.listens.store(true, Relaxed);
        // Who ends the generation looks at both after that: one of the two sees the other.
        barrier::dsb_ish();
        let over = machine.takeover.rendezvous.is_over(&cpu.member);
        let result = (!over).then(wait);
        stop(machine, cpu);
        result
    })
}

/// The CPU that runs this, `cpu`, does not sleep in the monitor any more, if it did.
pub fn stop(machine: &Machine, cpu: &Cpu) {
    if cpu.listens.load(Relaxed) {
        cpu.listens.store(false, Relaxed);
        machine.takeover.listening.fetch_sub(1, Relaxed);
    }
}
