//! SYSTEM_OFF, SYSTEM_RESET, SYSTEM_RESET2 and SYSTEM_SUSPEND.

use super::cpu::{check_entry, code};
use super::firmware;
use super::power::Start;
use super::service::Answer;
use crate::arch::{barrier, time};
use crate::cpu::Cpu;
use crate::machine::Machine;
use crate::teardown::report;
use arm_psci::{EntryPoint, ErrorCode};

/// How long a parked CPU may take to leave through firmware, in microseconds.
const LEAVE_US: u64 = 100_000;

/// Powers the machine off (DEN0022, SYSTEM_OFF).
pub fn off() -> Answer {
    report::print(Machine::get());
    Err(code(firmware::system_off()))
}

/// Resets the machine (DEN0022, SYSTEM_RESET).
pub fn reset() -> Answer {
    report::print(Machine::get());
    Err(code(firmware::system_reset()))
}

/// Resets the machine in a way that x1 names (DEN0022, SYSTEM_RESET2).
pub fn reset2(arguments: &[u64; 4]) -> Answer {
    report::print(Machine::get());
    Ok(firmware::pass(
        arguments[0],
        [arguments[1], arguments[2], arguments[3]],
    ))
}

/// Suspends the machine (DEN0022, SYSTEM_SUSPEND): all other CPUs are off, and firmware must know it.
pub fn suspend(cpu: &'static Cpu, entry: EntryPoint) -> Answer {
    let machine = Machine::get();
    let start = Start {
        entry: entry.entry_point_address(),
        context: entry.context_id(),
    };
    check_entry(machine, start.entry)?;
    let pass = machine
        .takeover
        .rendezvous
        .pass()
        .ok_or(ErrorCode::Denied)?;
    for other in machine.cpus.iter().filter(|other| other.index != cpu.index) {
        if other.power.affinity_info() != arm_psci::AffinityInfo::Off {
            return Err(ErrorCode::Denied);
        }
        if other.power.tell_to_leave() {
            barrier::sev();
            time::wait_us(LEAVE_US, || firmware::is_off(other.mpidr))
                .map_err(|_| ErrorCode::InternalFailure)?;
        }
    }
    // Where this CPU wakes, the call is over: nothing of it may be held.
    drop(pass);
    cpu.power.suspend(start);
    let result = firmware::system_suspend(cpu);
    cpu.power.set_on();
    result.map(|()| 0).map_err(code)
}
