//! Where a CPU waits that PSCI calls OFF.

use super::{Cpu, enter};
use crate::machine::Machine;
use crate::psci::turn;

/// Turns the calling CPU off as the guest sees it, and parks it.
pub fn off(cpu: &'static Cpu) -> ! {
    turn::off(Machine::get(), cpu);
    park(cpu)
}

/// Waits until the CPU is turned on, or taken for the next kernel.
pub fn park(cpu: &'static Cpu) -> ! {
    let start = turn::park(Machine::get(), cpu);
    enter(cpu, start)
}
