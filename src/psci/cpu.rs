// SPDX-License-Identifier: Apache-2.0
//! CPU_ON, AFFINITY_INFO and CPU_SUSPEND.

use super::answer::{Answer, check_entry};
use crate::arch::barrier;
use crate::firmware;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::takeover::listen::listening;
use crate::vcpu::frame::Frame;
use arm_psci::{AffinityInfo, EntryPoint, ErrorCode};
use baton_core::mpidr::mask_from_level;
use baton_core::power_state::Depth;
use baton_core::smp::on_off::{self, NotOn};
use baton_core::smp::power::Start;

/// `caller` turns on the CPU `mpidr` (DEN0022, CPU_ON).
///
/// # Errors
///
/// [`NotOn`].
pub fn on(machine: &Machine, caller: &Cpu, mpidr: u64, entry: EntryPoint) -> Result<(), NotOn> {
    let target = machine
        .cpu_by_mpidr(mpidr)
        .ok_or(NotOn::Refused(ErrorCode::InvalidParameters))?;
    let start = Start {
        entry: entry.entry_point_address(),
        context: entry.context_id(),
    };
    check_entry(&machine.ram, start.entry).map_err(NotOn::Refused)?;
    let result = on_off::on(machine, caller, target, start);
    if let Err(NotOn::Refused(ErrorCode::OnPending | ErrorCode::AlreadyOn)) = result {
        // Who asks again meanwhile lets the CPU come up that it waits for.
        barrier::pause();
    }
    result
}

/// Says whether a CPU, or any CPU of a group, is on (DEN0022, AFFINITY_INFO).
///
/// Which levels of groups there are is firmware's to say; there is none of Aff3 where no CPU has one.
pub fn affinity_info(machine: &Machine, mpidr: u64, lowest_level: u32) -> Answer {
    // A guest polls this: an emulator lets another CPU run meanwhile.
    barrier::pause();
    if lowest_level == 0 {
        let target = machine
            .cpu_by_mpidr(mpidr)
            .ok_or(ErrorCode::InvalidParameters)?;
        return Ok(u32::from(target.power.affinity_info()).into());
    }
    let mask = mask_from_level(lowest_level).ok_or(ErrorCode::InvalidParameters)?;
    let mut members = machine
        .cpus
        .iter()
        .filter(|cpu| cpu.mpidr & mask == mpidr & mask)
        .peekable();
    members.peek().ok_or(ErrorCode::InvalidParameters)?;
    let aff3 = machine.cpus.iter().any(|cpu| cpu.mpidr >> 32 != 0);
    let there = lowest_level < 3 || aff3;
    if !there || !firmware::has_affinity_level(mpidr, lowest_level) {
        return Err(ErrorCode::InvalidParameters);
    }
    let mut info = AffinityInfo::Off;
    for member in members {
        match member.power.affinity_info() {
            AffinityInfo::On => return Ok(u32::from(AffinityInfo::On).into()),
            AffinityInfo::OnPending => info = AffinityInfo::OnPending,
            AffinityInfo::Off => {}
        }
    }
    Ok(u32::from(info).into())
}

/// Suspends the calling CPU, whose guest is at `frame` (DEN0022, CPU_SUSPEND).
pub fn suspend(
    machine: &Machine,
    cpu: &Cpu,
    frame: &Frame,
    power_state: u32,
    start: Start,
) -> Answer {
    let format = machine.suspend_format.filter(|_| !cpu.in_spin_table);
    let format = format.ok_or(ErrorCode::NotSupported)?;
    let depth = format
        .depth(power_state)
        .ok_or(ErrorCode::InvalidParameters)?;
    if depth == Depth::PowerDown {
        check_entry(&machine.ram, start.entry)?;
        cpu.asleep.keep(frame, cpu.member.generation());
        cpu.power.suspend(start);
    }
    let asleep = || firmware::cpu_suspend(cpu, power_state);
    let result = listening(machine, cpu, asleep).unwrap_or(Ok(()));
    // It came back: it was a standby, or something woke the CPU before it lost power.
    cpu.power.set_on();
    result.map(|()| 0).map_err(firmware::error_code)
}
