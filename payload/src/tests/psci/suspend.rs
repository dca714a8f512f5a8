// SPDX-License-Identifier: Apache-2.0
//! `CPU_SUSPEND`.

use crate::call::{code, psci};
use crate::console::say;
use crate::context::Context;
use crate::cpu::Cpu;
use crate::cpus::wait_for;
use crate::image::secondary_entry;
use crate::outcome::{Outcome, ensure, expect, fail};
use crate::states::{POWER_DOWN, STANDBY};
use crate::{gic, time};
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use smccc::psci::{PSCI_CPU_SUSPEND_32, PSCI_CPU_SUSPEND_64};

/// How long a CPU sleeps until its timer fires, in milliseconds.
const SLEEP: u64 = 5;

/// What the jobs return for an interrupt that is not the expected one.
const WRONG_INTERRUPT: u64 = 1000;

/// power_state values with bits that are reserved in both formats.
const INVALID_STATES: [u64; 3] = [1 << 31, 1 << 29, 0xffff_ffff];

fn enable_gic(context: &Context) -> Outcome {
    let Some(gic) = &context.machine.gic else {
        fail!("expected a GIC, seen none")
    };
    gic::init(gic, context.cpus.all)?;
    expect(
        "redistributor wakes up",
        0,
        gic::enable(context.cpus.boot, 0),
    )?;
    if let Some(cpu) = context.cpus.others().next() {
        expect("redistributor wakes up", 0, cpu.run(gic::enable, 0)?)?;
    }
    Ok(())
}

/// CPU_SUSPEND with a reserved power_state, or an entry outside guest memory, is refused.
pub fn refused(context: &Context) -> Outcome {
    enable_gic(context)?;
    let entry = secondary_entry();
    for state in INVALID_STATES {
        for id in [PSCI_CPU_SUSPEND_32, PSCI_CPU_SUSPEND_64] {
            // Should it sleep all the same, it wakes up.
            gic::start_timer(SLEEP);
            let seen = psci(id, [state, entry, 0]);
            gic::stop_timer();
            expect(
                format_args!("power_state {state:#x}"),
                code::INVALID_PARAMETERS,
                seen,
            )?;
        }
    }
    let (monitor, _) = context.machine.monitor().unwrap_or_default();
    for (what, entry) in [
        ("in the monitor", monitor),
        ("in a device", context.machine.uart),
    ] {
        gic::start_timer(SLEEP);
        let seen = psci(PSCI_CPU_SUSPEND_64, [POWER_DOWN, entry, 0]);
        gic::stop_timer();
        expect(
            format_args!("power-down, entry {what}"),
            code::INVALID_ADDRESS,
            seen,
        )?;
    }
    while gic::take().is_some() {}
    Ok(())
}

/// A job: sleeps in standby until an interrupt, which has to be the one with the id `expected`.
fn standby(this: &'static Cpu, expected: u64) -> u64 {
    this.say_reached();
    let result = psci(PSCI_CPU_SUSPEND_64, [STANDBY, 0, 0]);
    match gic::take() {
        Some(id) if u64::from(id) == expected => result as u64,
        _ => WRONG_INTERRUPT,
    }
}

fn standby_until_timer(this: &'static Cpu, _: u64) -> u64 {
    gic::start_timer(SLEEP);
    standby(this, gic::VIRTUAL_TIMER.into())
}

/// The timer ends a standby.
pub fn standby_timer(context: &Context) -> Outcome {
    enable_gic(context)?;
    let start = time::now();
    let seen = standby_until_timer(context.cpus.boot, 0);
    let slept = time::now() - start;
    expect("CPU_SUSPEND on the boot CPU", 0, seen)?;
    ensure!(
        slept + time::ticks(1) >= time::ticks(SLEEP),
        "standby: expected to last {SLEEP} ms, seen {} us",
        time::microseconds(slept)
    );
    if let Some(cpu) = context.cpus.others().next() {
        expect(
            "CPU_SUSPEND on another CPU",
            0,
            cpu.run(standby_until_timer, 0)?,
        )?;
    }
    Ok(())
}

/// An SGI ends a standby.
pub fn standby_sgi(context: &Context) -> Outcome {
    let Some(cpu) = context.cpus.others().next() else {
        return Ok(());
    };
    cpu.start(standby, gic::SGI.into());
    wait_for([cpu].into_iter(), "to go to standby", |cpu| {
        cpu.reached.load(Acquire) == 1
    })?;
    time::pause(SLEEP);
    ensure!(
        cpu.result().is_none(),
        "standby: expected to last, seen to end by itself"
    );
    gic::send(cpu);
    wait_for([cpu].into_iter(), "to wake up by an SGI", |cpu| {
        cpu.result().is_some()
    })?;
    expect(
        "CPU_SUSPEND until an SGI",
        0,
        cpu.result().unwrap_or(WRONG_INTERRUPT),
    )
}

/// A job: powers down until its timer fires. It comes back through the entry, or returns what a
/// `CPU_SUSPEND` returns that has been turned into a standby.
fn power_down_until_timer(this: &'static Cpu, _: u64) -> u64 {
    gic::start_timer(SLEEP);
    let context = &raw const *this as u64;
    psci(
        PSCI_CPU_SUSPEND_64,
        [POWER_DOWN, secondary_entry(), context],
    ) as u64
}

/// The timer ends a power-down.
pub fn power_down(context: &Context) -> Outcome {
    let Some(cpu) = context.cpus.others().next() else {
        return Ok(());
    };
    cpu.entered.store(0, Relaxed);
    let seen = cpu.run(power_down_until_timer, 0)?;
    if cpu.entered.load(Acquire) == 0 {
        say!("psci: power-down was turned into standby");
        expect("CPU_SUSPEND, power-down", 0, seen)?;
    } else {
        crate::arrival::check_entry_state(cpu, cpu.entry_state.get())?;
    }
    // The timer that woke it is still on, and its interrupt pending.
    let taken = cpu.run(
        |this, _| {
            gic::enable(this, 0);
            u64::from(gic::take().unwrap_or(0))
        },
        0,
    )?;
    expect(
        "the interrupt that woke it",
        gic::VIRTUAL_TIMER.into(),
        taken,
    )
}
