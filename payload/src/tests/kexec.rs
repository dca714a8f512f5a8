// SPDX-License-Identifier: Apache-2.0
//! `test=kexec`: reboots into a copy of itself while its CPUs are in all kinds of states.

use crate::console::say;
use crate::context::Context;
use crate::cpu::Cpu;
use crate::entry_state::BOOT_STATE;
use crate::kexec::{self, Prepared};
use crate::options::Caller;
use crate::outcome::{Outcome, ensure};
use crate::states::{self, Wanted};
use crate::time::TIMEOUT_MS;
use crate::{arrival, gic, time};
use core::sync::atomic::Ordering::Relaxed;

/// CPUs with this index modulo 8 are never started by generation 0.
const NEVER_STARTED: usize = 7;

/// How long a heartbeat has to be the same for a CPU to count as held, in milliseconds.
const STANDSTILL: u64 = 1000;

/// Spreads the CPUs and reboots, until the wanted generation is there.
pub fn run(context: &Context) -> Outcome {
    let wanted = context.options.state.map_or(Wanted::Mix, Wanted::One);
    go_on(context, wanted, context.options.caller)
}

/// Checks what this generation found, puts the CPUs into the `wanted` states, and has `caller` ask
/// for the reboot, unless it was the last one.
pub fn go_on(context: &Context, wanted: Wanted, caller: Caller) -> Outcome {
    let cpus = context.cpus;
    if context.generation == 0 {
        arrival::check_entry_state(cpus.boot, BOOT_STATE.get())?;
        let boot = cpus.boot;
        let started = cpus
            .all
            .iter()
            .enumerate()
            .filter(|(n, _)| n % 8 != NEVER_STARTED);
        let started = started.map(|(_, cpu): (usize, &'static Cpu)| cpu);
        cpus.bring_up(started.filter(move |cpu| !core::ptr::eq(*cpu, boot)))?;
    } else {
        arrival::check(context)?;
    }
    if context.generation >= context.options.generations {
        return Ok(());
    }
    if let Some(gic) = &context.machine.gic {
        gic::init(gic, cpus.all)?;
    }
    let up = cpus.others().filter(|cpu| cpu.entered.load(Relaxed) > 0);
    let count = up.clone().count();
    let callers = match caller {
        Caller::Boot => 0,
        Caller::Last => count.min(1),
        Caller::Two => count.min(2),
    };
    let spread = up.clone().take(count - callers);
    let mut callers = up.skip(count - callers);
    let (one, two) = (callers.next(), callers.next());
    let mut prepared = kexec::prepare(context, one.unwrap_or(cpus.boot), 0)?;
    let other = match two {
        Some(two) => Some((two, kexec::prepare(context, two, prepared.next_page)?)),
        None => None,
    };
    let Context {
        generation,
        arena,
        options,
        ..
    } = *context;
    states::clear_since(arena, &cpus)?;
    states::spread(spread.clone(), generation, wanted, arena.moved())?;
    if let (0, Some(place)) = (generation, options.held) {
        await_held(context, place as usize)?;
    }
    say!("{} CPUs are in their states, rebooting", spread.count());
    match (one, other) {
        (Some(one), Some(other)) => Prepared::go_from([(one, prepared), other]),
        (Some(one), None) => Prepared::go_from([(one, prepared)]),
        (None, _) => prepared.go(),
    }
}

/// Waits until a debugger holds a CPU that counts: its heartbeat does not change any more.
fn await_held(context: &Context, place: usize) -> Outcome {
    let cpu = context.cpus.all.get(place);
    ensure!(cpu.is_some(), "expected a CPU {place} to hold, seen none");
    say!("waiting for a debugger to hold CPU {place}");
    let beats = || cpu.map(|cpu| cpu.heartbeat.load(Relaxed));
    let held = time::wait_until(TIMEOUT_MS, || {
        let before = beats();
        time::pause(STANDSTILL);
        beats() == before
    });
    ensure!(
        held,
        "expected CPU {place} to be held within {TIMEOUT_MS} ms, seen it count"
    );
    Ok(())
}
