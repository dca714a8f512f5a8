// SPDX-License-Identifier: Apache-2.0
//! CPUs that are off, suspended, or in the middle of a CPU_ON.

use super::running::beat;
use super::sleeping::enable_interrupts;
use crate::call::{self, code};
use crate::cpu::Cpu;
use crate::{hints, image};
use smccc::psci::{PSCI_CPU_OFF, PSCI_CPU_SUSPEND_64};

/// `CPU_SUSPEND` power_state, original format: standby of the CPU (DEN0022, 5.4.2).
pub const STANDBY: u64 = 0;
/// `CPU_SUSPEND` power_state, original format: power-down of the CPU.
pub const POWER_DOWN: u64 = 1 << 16;

/// Turns the CPU off. Returns only with the code of an error.
pub fn off(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    call::psci(PSCI_CPU_OFF, [0; 3]) as u64
}

/// Standby with the CPU interface enabled: an SGI wakes the CPU.
pub fn standby(this: &'static Cpu, argument: u64) -> u64 {
    enable_interrupts(this);
    masked_standby(this, argument)
}

/// Standby with the CPU interface as it is at reset: no interrupt can wake the CPU.
pub fn masked_standby(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    loop {
        call::psci(PSCI_CPU_SUSPEND_64, [STANDBY, 0, 0]);
    }
}

/// Power-down with the CPU interface enabled: an SGI wakes the CPU.
pub fn power_down(this: &'static Cpu, argument: u64) -> u64 {
    enable_interrupts(this);
    masked_power_down(this, argument)
}

/// Power-down with the CPU interface as it is at reset: no interrupt can wake the CPU.
pub fn masked_power_down(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    let context = &raw const *this as u64;
    loop {
        call::psci(
            PSCI_CPU_SUSPEND_64,
            [POWER_DOWN, image::secondary_entry(), context],
        );
    }
}

/// Turns another CPU on whenever it is off. `argument`: the address of its [`Cpu`].
pub fn turn_on_for_ever(this: &'static Cpu, argument: u64) -> u64 {
    // SAFETY: `spread` passes the address of an element of the static array of CPUs.
    let target = unsafe { &*(argument as *const Cpu) };
    loop {
        if target.turn_on() == code::SUCCESS {
            beat(this, 0);
            this.say_reached();
        }
        hints::relax();
    }
}
