//! Where a CPU waits that PSCI calls OFF.

use super::{Cpu, enter};
use crate::arch::barrier;
use crate::machine::Machine;
use crate::psci::firmware;
use crate::psci::power::Order;
use crate::teardown;
use core::sync::atomic::Ordering::Relaxed;

/// Turns the calling CPU off as the guest sees it: what is its own is cleared, then it is parked.
pub fn off(cpu: &'static Cpu) -> ! {
    // Its interrupts go to a CPU that stays.
    let machine = Machine::get();
    cpu.power.going_off();
    let stays = |other: &&Cpu| other.power.stays();
    if let Some(other) = machine.cpus.iter().find(stays) {
        machine.gic.move_shared(cpu.mpidr, other.mpidr);
    }
    teardown::clear_at_off(cpu);
    cpu.power.park();
    park(cpu)
}

/// Waits until the CPU is turned on, or taken for the next kernel.
///
/// This wait has no bound: an OFF CPU stays so until somebody wants it.
pub fn park(cpu: &'static Cpu) -> ! {
    loop {
        if Machine::get().takeover.epoch() != cpu.epoch.load(Relaxed) {
            teardown::join(cpu);
        }
        match cpu.power.order() {
            Order::Begin(start) => enter(cpu, start),
            Order::Leave => {
                Machine::get().gic.leaves(cpu.mpidr);
                cpu.power.left();
                // It returns only if firmware refuses: then the CPU is parked again.
                let refusal = firmware::cpu_off();
                log::warn!("cpu {}: firmware refuses CPU_OFF: {refusal}", cpu.index);
                cpu.power.park();
            }
            Order::Stay => barrier::wfe(),
        }
    }
}
