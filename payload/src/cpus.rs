// SPDX-License-Identifier: Apache-2.0
//! The CPUs of the machine: found in the device tree, turned on, and waited for.

use crate::call::{self, code};
use crate::cpu::{self, Cpu, MAX_CPUS, STACK_SIZE};
use crate::image;
use crate::machine::Machine;
use crate::outcome::{Failure, Outcome, expect, fail};
use crate::time::{TIMEOUT_MS, wait_until};
use core::fmt::Display;
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use smccc::psci::{PSCI_AFFINITY_INFO_64, PSCI_CPU_ON_64};

/// The CPUs of the machine, in the order of the device tree.
#[derive(Clone, Copy)]
pub struct Cpus {
    /// All of them.
    pub all: &'static [Cpu],
    /// The one that this generation was entered on.
    pub boot: &'static Cpu,
}

impl Cpus {
    /// Sets up what the device tree says, with stacks from `stacks` on for the secondary CPUs.
    pub fn new(machine: &Machine, stacks: u64) -> Outcome<Self> {
        let count = machine.cpus.len();
        let Some(all) = cpu::first(count) else {
            fail!("expected at most {MAX_CPUS} CPUs, seen {count}")
        };
        for ((cpu, mpidr), n) in all.iter().zip(machine.cpus.iter()).zip(1u64..) {
            cpu.mpidr.store(*mpidr, Relaxed);
            cpu.stack_top.store(stacks + n * STACK_SIZE, Relaxed);
        }
        let own = cpu::own_mpidr();
        let Some(boot) = all.iter().find(|cpu| cpu.mpidr() == own) else {
            fail!("expected the boot CPU {own:#x} in the device tree, seen {count} others")
        };
        cpu::set_current(boot);
        Ok(Self { all, boot })
    }

    /// All CPUs but the boot CPU.
    pub fn others(&self) -> impl Iterator<Item = &'static Cpu> + Clone + use<> {
        let boot = self.boot;
        self.all
            .iter()
            .filter(move |cpu| !core::ptr::eq(*cpu, boot))
    }

    /// Turns a CPU set on and waits until all of it has come up.
    pub fn bring_up(&self, which: impl Iterator<Item = &'static Cpu> + Clone) -> Outcome {
        for cpu in which.clone() {
            cpu.entered.store(0, Relaxed);
            expect(
                format_args!("CPU_ON of CPU {:#x}", cpu.mpidr()),
                code::SUCCESS,
                cpu.turn_on(),
            )?;
        }
        wait_for(which, "to come up after CPU_ON", |cpu| {
            cpu.entered.load(Acquire) == 1
        })
    }

    /// Calls that all CPUs have made.
    pub fn calls(&self) -> u64 {
        self.all.iter().map(|cpu| cpu.calls.load(Relaxed)).sum()
    }
}

impl Cpu {
    /// `CPU_ON` for this CPU, with the probe's own entry.
    pub fn turn_on(&self) -> i64 {
        let context = &raw const *self as u64;
        call::psci(
            PSCI_CPU_ON_64,
            [self.mpidr(), image::secondary_entry(), context],
        )
    }

    /// `AFFINITY_INFO` of this CPU.
    pub fn affinity_info(&self) -> i64 {
        call::psci(PSCI_AFFINITY_INFO_64, [self.mpidr(), 0, 0])
    }
}

/// Waits until `condition` holds for each of some CPUs, one after another.
///
/// A condition must stay true once it is. The failure names the first CPU that it isn't true for.
pub fn wait_for(
    mut which: impl Iterator<Item = &'static Cpu>,
    what: impl Display,
    mut condition: impl FnMut(&'static Cpu) -> bool,
) -> Outcome {
    let mut waiting = which.next();
    let done = wait_until(TIMEOUT_MS, || {
        while waiting.is_some_and(&mut condition) {
            waiting = which.next();
        }
        waiting.is_none()
    });
    match waiting {
        Some(cpu) if !done => Err(Failure::new(format_args!(
            "CPU {:#x}: expected {what} within {TIMEOUT_MS} ms, seen nothing (AFFINITY_INFO {})",
            cpu.mpidr(),
            cpu.affinity_info()
        ))),
        _ => Ok(()),
    }
}
