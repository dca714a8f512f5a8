//! CPUs that are off, asleep by PSCI, or on their way.

use super::running::beat;
use super::sleeping::hear;
use crate::call::{self, code};
use crate::cpu::Cpu;
use crate::{hints, image};
use smccc::psci::{PSCI_CPU_OFF, PSCI_CPU_SUSPEND_64};

/// `CPU_SUSPEND` power_state, original format: standby of the CPU (DEN0022, 5.4.2).
pub const STANDBY: u64 = 0;
/// `CPU_SUSPEND` power_state, original format: power-down of the CPU.
pub const POWER_DOWN: u64 = 1 << 16;

/// Turns the CPU off: for states and for tests. It does not return but for an error.
pub fn off(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    call::psci(PSCI_CPU_OFF, [0; 3]) as u64
}

pub fn standby(this: &'static Cpu, argument: u64) -> u64 {
    hear(this);
    deaf_standby(this, argument)
}

/// Standby with the CPU interface as it is at reset: no interrupt reaches the CPU.
pub fn deaf_standby(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    loop {
        call::psci(PSCI_CPU_SUSPEND_64, [STANDBY, 0, 0]);
    }
}

pub fn power_down(this: &'static Cpu, argument: u64) -> u64 {
    hear(this);
    deaf_power_down(this, argument)
}

/// Power-down with the CPU interface as it is at reset: no interrupt reaches the CPU.
pub fn deaf_power_down(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    let context = &raw const *this as u64;
    loop {
        call::psci(
            PSCI_CPU_SUSPEND_64,
            [POWER_DOWN, image::secondary_entry(), context],
        );
    }
}

/// `argument`: address of the [`Cpu`] to turn on whenever it is off.
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
