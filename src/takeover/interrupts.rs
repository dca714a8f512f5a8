// SPDX-License-Identifier: Apache-2.0
//! The interrupt controller for a kernel that came without a takeover: by its predecessor's own kexec
//! (`hooks=off`, a kernel that has no place for the calls, a kexec that was refused), or after a crash.

use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use log::Level;

/// Leaves the interrupt controller as at reset, LPIs and ITS too, which the kernel before left on with
/// tables in memory that is now anybody's: the next kernel's own driver would fail on them (Linux,
/// `its_cpu_init_lpis()`).
///
/// To be called on `cpu`, the only one that is on, before its kernel sets the controller up. What does
/// not take its value is reported.
pub fn reset_for_next_kernel(machine: &Machine, cpu: &Cpu) {
    let gic = &machine.gic;
    let mut result = gic.reset_cpu_interface();
    for other in machine
        .cpus
        .iter()
        .filter(|other| gic.can_reach(other.mpidr))
    {
        result = result
            .and(gic.reset_private(other.mpidr))
            .and(gic.reset_lpis(other.mpidr))
            .and(gic.drop_sgis(other.mpidr));
    }
    result = result
        .and(gic.reset_distributor(cpu.mpidr))
        .and(gic.reset_its());
    gic.disable_kept_lpis();
    for other in machine
        .cpus
        .iter()
        .filter(|other| gic.can_reach(other.mpidr))
    {
        result = result.and(gic.forget_lpis(other.mpidr));
    }
    match result {
        Ok(()) => log::log!(
            cpu.exits.complaint().max(Level::Info),
            "cpu {}: a kernel that came without a takeover: GIC, LPIs and ITS are as at reset",
            cpu.index
        ),
        Err(error) => log::log!(
            cpu.exits.complaint(),
            "cpu {}: interrupt controller for the next kernel: {error}",
            cpu.index
        ),
    }
}
