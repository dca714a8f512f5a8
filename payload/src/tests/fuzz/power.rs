// SPDX-License-Identifier: Apache-2.0
//! Calls that start a CPU or put it to sleep, made so that it comes back.

use super::calls::make;
use super::numbers::Numbers;
use crate::call::{self, code};
use crate::cpu::Cpu;
use crate::outcome::{Outcome, ensure, fail};
use crate::{gic, states};
use core::ptr;
use smccc::psci::{PSCI_CPU_OFF, PSCI_CPU_ON_32, PSCI_CPU_ON_64};
use smccc::psci::{PSCI_CPU_SUSPEND_32, PSCI_CPU_SUSPEND_64};

/// CPU_ON: with an entry that must be refused, or with the probe's own.
pub fn cpu_on(numbers: &Numbers) -> Outcome {
    let target = numbers.cpu();
    if numbers.below(2) == 0 {
        target.turn_on();
        return Ok(());
    }
    let id = numbers
        .of(&[PSCI_CPU_ON_32, PSCI_CPU_ON_64])
        .unwrap_or(PSCI_CPU_ON_64);
    let bad = match numbers.below(3) {
        0 => numbers.in_monitor(),
        1 => numbers.field.image + 1 + numbers.below(3),
        _ => numbers
            .of(&[0, 1 << 47, u64::MAX - 3, u64::MAX])
            .unwrap_or(0),
    };
    // The 32-bit call has 32 bits of it.
    let entry = if id == PSCI_CPU_ON_32 {
        bad as u32 as u64
    } else {
        bad
    };
    let in_ram = |address: u64| {
        (numbers.field.ram..numbers.field.monitor.0).contains(&address) && address.is_multiple_of(4)
    };
    if in_ram(entry) {
        return Ok(());
    }
    let mut arguments = [0; 17];
    arguments[..3].copy_from_slice(&[target.mpidr(), bad, numbers.argument()]);
    let seen = make(call::psci_conduit(), id, arguments, numbers.field)? as i32;
    ensure!(
        seen == code::INVALID_ADDRESS as i32,
        "CPU_ON at {entry:#x}: expected INVALID_ADDRESS, seen {seen}"
    );
    Ok(())
}

/// CPU_SUSPEND with any power_state; a timer wakes the CPU if it does go to sleep.
pub fn suspend(numbers: &Numbers) -> Outcome {
    gic::start_timer(1);
    let id = numbers
        .of(&[PSCI_CPU_SUSPEND_32, PSCI_CPU_SUSPEND_64])
        .unwrap_or(PSCI_CPU_SUSPEND_64);
    let state = match numbers.below(4) {
        0 => states::STANDBY,
        1 => states::POWER_DOWN,
        2 => 1 << numbers.below(32),
        _ => numbers.argument(),
    };
    let mut arguments = [0; 17];
    // An entry that is refused: a CPU that does lose power would never come back.
    arguments[..3].copy_from_slice(&[state, numbers.in_monitor(), numbers.argument()]);
    if state & states::POWER_DOWN != 0 || numbers.below(8) == 0 {
        make(call::psci_conduit(), id, arguments, numbers.field)?;
    }
    gic::stop_timer();
    while gic::take().is_some() {}
    Ok(())
}

/// CPU_OFF: another CPU, or the boot CPU when it is done, turns this one on again.
pub fn off(this: &'static Cpu, numbers: &Numbers) -> Outcome {
    if ptr::eq(this, numbers.field.cpus.boot) {
        return Ok(());
    }
    let seen = call::psci(PSCI_CPU_OFF, [0; 3]);
    fail!("CPU_OFF: expected not to return, seen {seen}")
}
