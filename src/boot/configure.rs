// SPDX-License-Identifier: Apache-2.0
//! A CPU made ready for the guest, as it comes to the monitor.

use super::el3;
use crate::arch::sysreg;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::takeover::crash_interrupt;
use crate::vcpu;
use baton_core::errata::Names;

/// Sets up this CPU's EL2 for the guest, and its EL1 as at reset.
pub fn configure(machine: &Machine, cpu: &Cpu) {
    name_errata(machine, cpu);
    el3::close(machine, cpu);
    cpu.os_locks.reset();
    let (features, devices) = (cpu.features(), machine.devices);
    for (what, result) in [
        // First: it opens to EL2 what is then reset.
        ("EL2", machine.configure_el2(cpu)),
        (
            "EL1",
            match cpu.power.is_suspended() {
                true => vcpu::reset::reset_woken_cpu(features, devices),
                false => vcpu::reset::reset_cpu(features, devices),
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
    crash_interrupt::unmask(machine, cpu);
}

/// Says once of each kind of CPU which errata are worked around.
fn name_errata(machine: &Machine, cpu: &Cpu) {
    if !log::log_enabled!(log::Level::Debug) {
        return;
    }
    let (midr, revidr) = sysreg::identification();
    if machine.kinds.lock().is_new(midr) {
        log::debug!(
            "cpu {}: MIDR_EL1 {midr:#x}, errata worked around: {}",
            cpu.index,
            Names { midr, revidr }
        );
    }
}
