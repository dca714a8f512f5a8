// SPDX-License-Identifier: Apache-2.0
//! SYSTEM_OFF, SYSTEM_RESET, SYSTEM_RESET2 and SYSTEM_SUSPEND.

use super::answer::{Answer, check_entry};
use super::parked;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::{firmware, report};
use arm_psci::{EntryPoint, ErrorCode};
use baton_core::smp::power::Start;

/// Powers the machine off (DEN0022, SYSTEM_OFF).
pub fn off(machine: &Machine) -> Answer {
    report::print(machine);
    Err(firmware::error_code(firmware::system_off()))
}

/// Resets the machine (DEN0022, SYSTEM_RESET).
pub fn reset(machine: &Machine) -> Answer {
    report::print(machine);
    Err(firmware::error_code(firmware::system_reset()))
}

/// Resets the machine in a way that x1 names (DEN0022, SYSTEM_RESET2).
pub fn reset2(machine: &Machine, arguments: &[u64; 4]) -> Answer {
    report::print(machine);
    Ok(firmware::pass(
        arguments[0],
        [arguments[1], arguments[2], arguments[3]],
    ))
}

/// Suspends the machine (DEN0022, SYSTEM_SUSPEND): all other CPUs are off, and firmware must know it.
/// Where CPUs came from a spin table it cannot, and the call is DENIED.
pub fn suspend(machine: &Machine, cpu: &Cpu, entry: EntryPoint) -> Answer {
    let start = Start {
        entry: entry.entry_point_address(),
        context: entry.context_id(),
    };
    check_entry(&machine.ram, start.entry)?;
    send_others_back(machine, cpu)?;
    // Where this CPU wakes, the call is over: nothing is held from here on.
    cpu.power.suspend(start);
    let result = firmware::system_suspend(cpu);
    cpu.power.set_on();
    result.map(|()| 0).map_err(firmware::error_code)
}

/// Has every CPU but `cpu` leave for firmware's CPU_OFF, in which no CPU_ON and no takeover begins.
fn send_others_back(machine: &Machine, cpu: &Cpu) -> Result<(), ErrorCode> {
    let _pass = machine
        .takeover
        .rendezvous
        .pass()
        .ok_or(ErrorCode::Denied)?;
    // Firmware cannot take one back that it does not know.
    if !parked::is_alone(machine, cpu) || !parked::are_known(machine, cpu) {
        return Err(ErrorCode::Denied);
    }
    parked::send_back(machine, cpu)
}
