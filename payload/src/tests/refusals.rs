// SPDX-License-Identifier: Apache-2.0
//! `test=refusals`: requests that are refused, `calls=` in a row, leave all CPUs where they were, and lose no
//! interrupt.
//!
//! Every other CPU sleeps between interrupts: an SGI that is sent to each just before every request, and its own
//! timer's. The CPUs between them store as fast as they can.

use super::refusal;
use crate::arena::PAGE;
use crate::console::say;
use crate::context::Context;
use crate::cpu::Cpu;
use crate::cpus::wait_for;
use crate::gic::{self, VIRTUAL_TIMER};
use crate::outcome::{Outcome, ensure};
use crate::{hints, states};
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// A timer's interrupt in the heartbeat of [`interrupted`]: SGIs are counted below it.
const TIMER: u64 = 1 << 32;
/// How long a timer takes, in milliseconds.
const TIMER_MS: u64 = 1;

/// Asks with the list of [`refusal`].
pub fn run(context: &Context) -> Outcome {
    let Context { arena, cpus, .. } = context;
    let arguments = refusal::arguments(context)?;
    cpus.bring_up(cpus.others())?;
    if let Some(gic) = &context.machine.gic {
        gic::init(gic, cpus.all)?;
    }
    let sleepers = || cpus.others().step_by(2);
    let stores = || cpus.others().skip(1).step_by(2);
    for cpu in sleepers() {
        cpu.start(interrupted, 0);
    }
    for (cpu, victim) in stores().zip((arena.moved()..).step_by(PAGE as usize)) {
        cpu.start(states::store, victim);
    }
    let others = cpus.others();
    wait_for(others, "to be interrupted, or to store", |cpu| {
        cpu.reached.load(Acquire) == 1 && cpu.heartbeat.load(Relaxed) > 0
    })?;
    for call in 1..=context.options.calls {
        sleepers().for_each(gic::send);
        refusal::ask(arguments)?;
        // The kick sends one too: of the same interrupt, which is pending once.
        wait_for(sleepers(), "the SGI from before a refusal", |cpu| {
            cpu.heartbeat.load(Relaxed) % TIMER >= call
        })?;
        goes_on(sleepers(), "timer interrupts after a refusal", TIMER)?;
        goes_on(stores(), "stores after a refusal", 1)?;
    }
    for cpu in sleepers() {
        let (seen, calls) = (cpu.heartbeat.load(Relaxed) % TIMER, context.options.calls);
        ensure!(
            (calls..=2 * calls).contains(&seen),
            "SGIs of CPU {:#x}: expected {calls}, and as many of kicks at most, seen {seen}",
            cpu.mpidr(),
        );
    }
    say!("refusals: {} in a row", context.options.calls);
    Ok(())
}

/// Waits until each of some CPUs has counted more than it has by now, by `least` at least.
fn goes_on(cpus: impl Iterator<Item = &'static Cpu>, what: &str, least: u64) -> Outcome {
    for cpu in cpus {
        let before = cpu.heartbeat.load(Relaxed);
        wait_for([cpu].into_iter(), what, |cpu| {
            cpu.heartbeat.load(Relaxed) >= before + least
        })?;
    }
    Ok(())
}

/// A job: counts SGIs and its timer's interrupts, and sleeps between them.
fn interrupted(this: &'static Cpu, _: u64) -> u64 {
    gic::enable(this, 0);
    this.heartbeat.store(0, Relaxed);
    this.say_reached();
    gic::start_timer(TIMER_MS);
    loop {
        let count = match gic::take() {
            Some(VIRTUAL_TIMER) => {
                gic::start_timer(TIMER_MS);
                TIMER
            }
            Some(_) => 1,
            None => {
                hints::wait_for_interrupt();
                continue;
            }
        };
        let before = this.heartbeat.load(Relaxed);
        this.heartbeat.store(before + count, Relaxed);
    }
}
