// SPDX-License-Identifier: Apache-2.0
//! A CPU made ready for the guest, as it comes to the monitor.

use super::el3;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::vcpu;

/// Sets up this CPU's EL2 for the guest, and its EL1 as at reset.
pub fn configure(machine: &Machine, cpu: &Cpu) {
    el3::close(machine, cpu);
    let (features, devices) = (cpu.features(), machine.devices);
    for (what, result) in [
        // First: it opens to EL2 what is then reset.
        ("EL2", vcpu::el2::configure(&features, devices)),
        (
            "EL1",
            match cpu.power.is_suspended() {
                true => vcpu::reset::reset_woken_cpu(&features, devices),
                false => vcpu::reset::reset_cpu(&features, devices),
            },
        ),
        ("GIC", machine.gic.cpu_online(cpu.mpidr)),
    ] {
        if let Err(error) = result {
            log::warn!(
                "cpu {}: {what} is not set up as it should be: {error}",
                cpu.index
            );
        }
    }
}
