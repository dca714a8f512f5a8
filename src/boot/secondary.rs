//! Any CPU that firmware starts or wakes for us, or that comes from a spin table.

use super::primary::configure;
use crate::cpu::{self, Cpu};
use crate::psci::firmware;

/// Called by `head.S` on the CPU's own stack, with the MMU on.
#[unsafe(no_mangle)]
extern "C" fn boot_secondary(cpu: &'static Cpu) -> ! {
    configure(cpu);
    if firmware::is_absent() {
        cpu.power.came();
    }
    cpu::park(cpu)
}
