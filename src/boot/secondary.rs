//! Any CPU that firmware starts or wakes for us, or that comes from a spin table.

use super::primary::configure;
use crate::cpu::{self, Cpu};

/// Called by `head.S` on the CPU's own stack, with the MMU on.
#[unsafe(no_mangle)]
extern "C" fn boot_secondary(cpu: &'static Cpu) -> ! {
    configure(cpu);
    cpu.power.came();
    cpu::park(cpu)
}
