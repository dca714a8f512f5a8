// SPDX-License-Identifier: Apache-2.0
//! PSCI 1.1 (DEN0022), or 0.2: the calls from EL2.

use crate::board::{self, Power};
use crate::cpu::{self, Cpu, Start};
use crate::lower_level::{FEATURE_AVAILABILITY, begin};
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;
use smccc::arch::*;
use smccc::psci::*;

/// What a call returns in x0.
type Answer = Result<i64, Refusal>;

/// An error of PSCI (DEN0022, 5.2.2).
#[derive(Clone, Copy)]
pub enum Refusal {
    NotSupported = -1,
    InvalidParameters = -2,
    Denied = -3,
    AlreadyOn = -4,
    OnPending = -5,
}
use Refusal::{AlreadyOn, Denied, InvalidParameters, NotSupported, OnPending};

const VERSION: i64 = 1 << 16 | 1;
const VERSION_0_2: i64 = 2;
/// PSCI_FEATURES of CPU_SUSPEND: there is the OS-initiated mode.
const OS_INITIATED: i64 = 1 << 0;
/// MIGRATE_INFO_TYPE: there is no Trusted OS.
const NO_TRUSTED_OS: i64 = 2;
/// power_state in the original format (5.4.2): a power-down, and the bits that must be zero.
const POWER_DOWN: u64 = 1 << 16;
const POWER_STATE_ZERO: u64 = 0xfcfe_0000;

/// What SMCCC_ARCH_FEATURES has.
const WORKAROUNDS: [u32; 3] = [
    SMCCC_ARCH_WORKAROUND_1,
    SMCCC_ARCH_WORKAROUND_2,
    SMCCC_ARCH_WORKAROUND_3,
];

/// What PSCI 0.2 has, but MIGRATE.
const OF_0_2: [u32; 11] = [
    PSCI_VERSION,
    PSCI_CPU_SUSPEND_32,
    PSCI_CPU_SUSPEND_64,
    PSCI_CPU_OFF,
    PSCI_CPU_ON_32,
    PSCI_CPU_ON_64,
    PSCI_AFFINITY_INFO_32,
    PSCI_AFFINITY_INFO_64,
    PSCI_MIGRATE_INFO_TYPE,
    PSCI_SYSTEM_OFF,
    PSCI_SYSTEM_RESET,
];

/// AFFINITY_INFO as a call of the silicon partner's, which a monitor above leaves alone: it says what this
/// firmware knows.
const AFFINITY_INFO_HERE: u32 = 0xc200_0004;

const OF_SUSPEND: [u32; 2] = [PSCI_CPU_SUSPEND_32, PSCI_CPU_SUSPEND_64];

/// What PSCI_FEATURES has beside that.
const OF_1_1: [u32; 3] = [
    PSCI_FEATURES,
    PSCI_SYSTEM_SUSPEND_32,
    PSCI_SYSTEM_SUSPEND_64,
];

/// Answers the SMC whose arguments are x0 to x3, on the CPU with this number.
pub fn call(x: [u64; 4], number: usize) -> u64 {
    let this = Cpu::by_number(number);
    match answer(this, number, x) {
        Ok(value) => value as u64,
        Err(refusal) => refusal as i64 as u64,
    }
}

fn answer(this: &Cpu, number: usize, [id, x1, x2, x3]: [u64; 4]) -> Answer {
    let start = |entry, context| Start { entry, context };
    match id as u32 {
        id if board::is_psci_0_2() && !OF_0_2.contains(&id) => Err(NotSupported),
        PSCI_VERSION if board::is_psci_0_2() => Ok(VERSION_0_2),
        PSCI_VERSION => Ok(VERSION),
        SMCCC_VERSION => Ok(VERSION),
        SMCCC_ARCH_FEATURES if x1 == FEATURE_AVAILABILITY && board::tells_features() => Ok(0),
        SMCCC_ARCH_FEATURES if WORKAROUNDS.contains(&(x1 as u32)) => Ok(0),
        SMCCC_ARCH_WORKAROUND_1 | SMCCC_ARCH_WORKAROUND_2 | SMCCC_ARCH_WORKAROUND_3 => Ok(0),
        PSCI_FEATURES if board::has_os_initiated() && OF_SUSPEND.contains(&(x1 as u32)) => {
            Ok(OS_INITIATED)
        }
        PSCI_FEATURES if board::has_os_initiated() && x1 as u32 == PSCI_SET_SUSPEND_MODE => Ok(0),
        PSCI_SET_SUSPEND_MODE if board::has_os_initiated() => set_suspend_mode(this, x1),
        PSCI_FEATURES if x1 as u32 == SMCCC_VERSION => Ok(0),
        PSCI_FEATURES if OF_0_2.iter().chain(&OF_1_1).any(|&id| id == x1 as u32) => Ok(0),
        PSCI_MIGRATE_INFO_TYPE => Ok(NO_TRUSTED_OS),
        PSCI_CPU_ON_32 | PSCI_CPU_ON_64 => {
            let target = Cpu::by_mpidr(x1).ok_or(InvalidParameters)?;
            match target.state() {
                AffinityState::Off => {
                    target.turn_on(start(x2, x3));
                    Ok(0)
                }
                AffinityState::OnPending => Err(OnPending),
                AffinityState::On => Err(AlreadyOn),
            }
        }
        PSCI_CPU_OFF | PSCI_CPU_SUSPEND_32 | PSCI_CPU_SUSPEND_64 if !board::has_psci(number) => {
            panic!("CPU {number} waited in a spin table, and calls {id:#x}")
        }
        PSCI_CPU_OFF => {
            this.set_off();
            begin(number, this.wait_off())
        }
        PSCI_AFFINITY_INFO_32 | PSCI_AFFINITY_INFO_64 | AFFINITY_INFO_HERE if x2 == 0 => {
            let target = Cpu::by_mpidr(x1).ok_or(InvalidParameters)?;
            Ok(target.state() as i64)
        }
        PSCI_CPU_SUSPEND_32 | PSCI_CPU_SUSPEND_64 => {
            if x1 & POWER_STATE_ZERO != 0 {
                return Err(InvalidParameters);
            }
            cpu::sleep();
            if x1 & POWER_DOWN != 0 {
                begin(number, start(x2, x3));
            }
            Ok(0)
        }
        PSCI_SYSTEM_SUSPEND_32 | PSCI_SYSTEM_SUSPEND_64 => {
            if !this.is_last() {
                return Err(Denied);
            }
            cpu::sleep();
            begin(number, start(x1, x2))
        }
        PSCI_SYSTEM_OFF => power(Power::Off),
        PSCI_SYSTEM_RESET => power(Power::Reset),
        _ => Err(NotSupported),
    }
}

/// As Trusted Firmware-A: back to the platform-coordinated mode only if all other CPUs are off.
fn set_suspend_mode(this: &Cpu, mode: u64) -> Answer {
    static OS_INITIATED: AtomicBool = AtomicBool::new(false);
    match mode {
        0 if OS_INITIATED.load(Relaxed) && !this.is_last() => Err(Denied),
        0 | 1 => {
            OS_INITIATED.store(mode == 1, Relaxed);
            Ok(0)
        }
        _ => Err(InvalidParameters),
    }
}

fn power(what: Power) -> ! {
    what.request();
    loop {
        cpu::sleep();
    }
}
