// SPDX-License-Identifier: Apache-2.0
//! `test=idle`: CPUs sleep, take timer interrupts and compute, all without exits to the monitor.

use crate::console::say;
use crate::context::Context;
use crate::cpu::Cpu;
use crate::cpus::wait_for;
use crate::outcome::{Outcome, ensure, expect, fail};
use crate::{arrival, gic, hints, kexec, pattern, time};
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// How long, in milliseconds.
const DURATION: u64 = 1000;
/// Time between two timer interrupts of a sleeping CPU, in milliseconds.
const PERIOD: u64 = 10;

static STOP: AtomicU32 = AtomicU32::new(0);

/// Generation 0 idles and computes; generation 1 looks at what that cost.
pub fn run(context: &Context) -> Outcome {
    if context.generation == 0 {
        idle(context)
    } else {
        look(context)
    }
}

fn idle(context: &Context) -> Outcome {
    let cpus = context.cpus;
    let Some(gic) = &context.machine.gic else {
        fail!("expected a GIC, seen none")
    };
    gic::init(gic, cpus.all)?;
    cpus.bring_up(cpus.others())?;
    for (n, cpu) in cpus.others().enumerate() {
        expect("redistributor wakes up", 0, cpu.run(gic::enable, 0)?)?;
        cpu.start(if n % 2 == 0 { sleep } else { compute }, 0);
    }
    time::pause(DURATION);
    STOP.store(1, Release);
    hints::send_event();
    wait_for(cpus.others(), "to end its job", |cpu| {
        cpu.result().is_some()
    })?;
    for cpu in cpus.others() {
        let count = cpu.result().unwrap_or(0);
        ensure!(
            count > 0,
            "CPU {:#x}: expected interrupts or results, seen 0",
            cpu.mpidr()
        );
    }
    let count = |odd: usize| {
        let some = cpus.others().enumerate().filter(move |(n, _)| n % 2 == odd);
        some.filter_map(|(_, cpu)| cpu.result()).sum::<u64>()
    };
    say!(
        "{} timer interrupts, {} rounds of computing in {DURATION} ms",
        count(0),
        count(1)
    );
    let mut prepared = kexec::prepare(context, cpus.boot, 0)?;
    // All others are idle: the count is final but for the KEXEC call itself.
    prepared.handover.calls = cpus.calls() + 1;
    prepared.go()
}

/// A job: sleeps by WFI from timer interrupt to timer interrupt, and returns how many there were.
fn sleep(_: &'static Cpu, _: u64) -> u64 {
    let mut count = 0;
    while STOP.load(Acquire) == 0 {
        gic::start_timer(PERIOD);
        hints::wait_for_interrupt();
        count += u64::from(gic::take() == Some(gic::VIRTUAL_TIMER));
    }
    gic::stop_timer();
    count
}

/// A job: computes, and returns how many rounds.
fn compute(this: &'static Cpu, _: u64) -> u64 {
    let mut rounds = 0;
    let mut value = this.mpidr();
    while STOP.load(Acquire) == 0 {
        for _ in 0..1000 {
            value = pattern::mix(value);
        }
        this.heartbeat.store(value, Relaxed);
        rounds += 1;
        hints::relax();
    }
    rounds
}

fn look(context: &Context) -> Outcome {
    let header = arrival::check(context)?.header;
    expect("exits for faults", 0, header.exits_fault)?;
    // Each of the others has woken its redistributor, by one store to a register beside its tables,
    // and each that sleeps has its first WFI looked at; none of the hundred after it.
    let woken = match gic::v2::get() {
        // There is none.
        Some(_) => 0,
        None => context.cpus.others().count() as u64,
    };
    let sleepers = context.cpus.others().step_by(2).count() as u64;
    let seen = header.exits_other;
    ensure!(
        (woken..=woken + sleepers).contains(&seen),
        "exits for other causes: expected {woken} to {}, seen {seen}",
        woken + sleepers
    );
    expect("exits for calls", context.handover.calls, header.exits_call)
}
