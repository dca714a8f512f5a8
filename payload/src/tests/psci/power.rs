// SPDX-License-Identifier: Apache-2.0
//! `CPU_ON` and `CPU_OFF`.

use super::functions::NO_CPU;
use crate::arrival;
use crate::call::{code, psci};
use crate::context::Context;
use crate::cpu::Cpu;
use crate::cpus::wait_for;
use crate::image::secondary_entry;
use crate::outcome::{Outcome, ensure, expect, expect_any};
use crate::{hints, states};
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use smccc::psci::{PSCI_CPU_ON_32, PSCI_CPU_ON_64};

/// Rounds of the race.
const ROUNDS: u32 = 20;

/// All CPUs can be turned on, and enter as PSCI says.
pub fn all_on(context: &Context) -> Outcome {
    context.cpus.bring_up(context.cpus.others())?;
    for cpu in context.cpus.others() {
        arrival::check_entry_state(cpu, cpu.entry_state.get())?;
        let what = format_args!("AFFINITY_INFO of CPU {:#x}, up", cpu.mpidr());
        expect(what, code::AFFINITY_ON, cpu.affinity_info())?;
    }
    Ok(())
}

/// CPU_ON of no CPU, and of one that is on, is refused.
pub fn refused(context: &Context) -> Outcome {
    let entry = secondary_entry();
    for (what, mpidr) in [
        ("nobody", NO_CPU),
        ("a wrong bit", context.cpus.boot.mpidr() | 1 << 30),
    ] {
        let seen = psci(PSCI_CPU_ON_64, [mpidr, entry, 0]);
        expect(
            format_args!("CPU_ON of {what}"),
            code::INVALID_PARAMETERS,
            seen,
        )?;
    }
    for cpu in context.cpus.all {
        for id in [PSCI_CPU_ON_32, PSCI_CPU_ON_64] {
            let what = format_args!("{id:#x} of CPU {:#x}, which is on", cpu.mpidr());
            // MPIDRs of 32-bit calls have no Aff3.
            if id == PSCI_CPU_ON_64 || cpu.mpidr() >> 32 == 0 {
                expect(what, code::ALREADY_ON, psci(id, [cpu.mpidr(), entry, 0]))?;
            }
        }
    }
    Ok(())
}

/// Turns a CPU that is up and idle off, and waits until it is.
pub fn turn_off(cpu: &'static Cpu) -> Outcome {
    cpu.start(states::off, 0);
    wait_off([cpu].into_iter())
}

fn wait_off(which: impl Iterator<Item = &'static Cpu>) -> Outcome {
    wait_for(which, "AFFINITY_INFO of OFF after CPU_OFF", |cpu| {
        cpu.affinity_info() == code::AFFINITY_OFF
    })
}

/// CPU_ON with an entry outside guest memory is refused, and the CPU stays off.
pub fn wrong_entry(context: &Context) -> Outcome {
    let Some(cpu) = context.cpus.others().last() else {
        return Ok(());
    };
    turn_off(cpu)?;
    let (monitor, size) = context.machine.monitor().unwrap_or_default();
    let (ram, ram_size) = context.machine.ram_at(context.arena.0).unwrap_or_default();
    for (what, entry) in [
        ("in the monitor", monitor),
        ("at the monitor's end", monitor + size - 4),
        ("in a device", context.machine.uart),
        ("at the end of RAM", ram + ram_size),
        ("outside all", 1 << 47),
        ("at the end of addresses", !3),
    ] {
        let seen = psci(PSCI_CPU_ON_64, [cpu.mpidr(), entry, 0]);
        expect(
            format_args!("CPU_ON, entry {what}"),
            code::INVALID_ADDRESS,
            seen,
        )?;
    }
    let seen = psci(PSCI_CPU_ON_64, [cpu.mpidr(), secondary_entry() + 2, 0]);
    let codes = [code::INVALID_ADDRESS, code::INVALID_PARAMETERS];
    expect_any("CPU_ON, entry not on a word", &codes, seen)?;
    expect(
        "AFFINITY_INFO after that",
        code::AFFINITY_OFF,
        cpu.affinity_info(),
    )?;
    context.cpus.bring_up([cpu].into_iter())
}

static GO: AtomicU32 = AtomicU32::new(0);

/// A job: waits for [`GO`], then turns the CPU at address `target` on.
fn turn_on_at_once(this: &'static Cpu, target: u64) -> u64 {
    // SAFETY: `raced` passes the address of an element of the static array of CPUs.
    let target = unsafe { &*(target as *const Cpu) };
    this.say_reached();
    while GO.load(Acquire) == 0 {
        hints::relax();
    }
    target.turn_on() as u64
}

/// Two CPUs turn the same one on: one succeeds, the other is told why not.
pub fn raced(context: &Context) -> Outcome {
    for round in 0..ROUNDS as usize {
        let mut others = context.cpus.others().skip(round % context.cpus.all.len());
        let (Some(target), Some(one), Some(two)) = (others.next(), others.next(), others.next())
        else {
            continue;
        };
        turn_off(target)?;
        target.entered.store(0, Relaxed);
        GO.store(0, Relaxed);
        for cpu in [one, two] {
            cpu.start(turn_on_at_once, &raw const *target as u64);
        }
        let racers = [one, two].into_iter();
        wait_for(racers.clone(), "to be ready to call CPU_ON", |cpu| {
            cpu.reached.load(Acquire) == 1
        })?;
        GO.store(1, Release);
        hints::send_event();
        wait_for(racers, "to end its CPU_ON", |cpu| cpu.result().is_some())?;
        let [a, b] = [one, two].map(|cpu| cpu.result().unwrap_or(0) as i64);
        let loser = if a == code::SUCCESS { b } else { a };
        ensure!(
            a.max(b) == code::SUCCESS && [code::ON_PENDING, code::ALREADY_ON].contains(&loser),
            "CPU_ON of CPU {:#x} by two: expected 0 once, and -5 or -4, seen {a} and {b}",
            target.mpidr()
        );
        wait_for([target].into_iter(), "to come up", |cpu| {
            cpu.entered.load(Acquire) > 0
        })?;
        expect("times that it came up", 1, target.entered.load(Acquire))?;
    }
    Ok(())
}

/// Turns each CPU off and on.
pub fn one_by_one(context: &Context) -> Outcome {
    for cpu in context.cpus.others() {
        turn_off(cpu)?;
        context.cpus.bring_up([cpu].into_iter())?;
        arrival::check_entry_state(cpu, cpu.entry_state.get())?;
    }
    Ok(())
}

/// Turns all CPUs off at once, and on again.
pub fn all_at_once(context: &Context) -> Outcome {
    for _ in 0..4 {
        for cpu in context.cpus.others() {
            cpu.start(states::off, 0);
        }
        wait_off(context.cpus.others())?;
        context.cpus.bring_up(context.cpus.others())?;
    }
    Ok(())
}
