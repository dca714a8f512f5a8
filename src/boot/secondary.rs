//! Any CPU that firmware starts or wakes for us.

use super::primary::configure;
use crate::cpu::{self, Cpu};

/// Called by `head.S` on the CPU's own stack, with the MMU on.
#[unsafe(no_mangle)]
extern "C" fn boot_secondary(cpu: &'static Cpu) -> ! {
    configure(cpu);
    cpu::park(cpu)
}
