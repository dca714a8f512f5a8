// SPDX-License-Identifier: Apache-2.0
//! CPUs parked in the monitor are off for the guest and on for firmware, until they are sent back to it.

use crate::arch::{barrier, time};
use crate::firmware;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use arm_psci::{AffinityInfo, ErrorCode};
use baton_core::smp::on_off::LEAVE_US;

/// Returns whether all CPUs but `cpu` are off for the guest.
pub fn is_alone(machine: &Machine, cpu: &Cpu) -> bool {
    others(machine, cpu).all(|other| other.power.affinity_info() == AffinityInfo::Off)
}

/// Returns whether firmware knows all CPUs but `cpu`: none came from a spin table.
pub fn are_known(machine: &Machine, cpu: &Cpu) -> bool {
    others(machine, cpu).all(|other| !other.in_spin_table)
}

/// Has every CPU but `cpu` that is parked and that firmware knows leave for firmware's CPU_OFF, and waits for
/// those that are on their way by themselves. The caller has a pass: no takeover begins meanwhile.
///
/// # Errors
///
/// `INTERNAL_FAILURE` if firmware does not have one off in time.
pub fn send_back(machine: &Machine, cpu: &Cpu) -> Result<(), ErrorCode> {
    for other in others(machine, cpu).filter(|other| !other.in_spin_table) {
        if other.power.tell_to_leave() {
            barrier::sev();
        }
        time::wait_us(LEAVE_US, || !firmware::has_on(other.mpidr))
            .map_err(|_| ErrorCode::InternalFailure)?;
    }
    Ok(())
}

fn others<'a>(machine: &'a Machine, cpu: &'a Cpu) -> impl Iterator<Item = &'a Cpu> {
    machine
        .cpus
        .iter()
        .filter(move |other| other.index != cpu.index)
}
