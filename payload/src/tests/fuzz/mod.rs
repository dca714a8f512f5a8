// SPDX-License-Identifier: Apache-2.0
//! `test=fuzz`: millions of calls and accesses that make no sense, on all CPUs at once.
//!
//! Each CPU draws from `seed=` and its own place what it does next, `calls=` times. What would end
//! the machine, or start a CPU where there is no code, is left out or made so that it is refused; all
//! else must come back: with an abort, with a code, and without an address of the monitor's in any
//! register. After that the machine reboots into the next generation.

mod accesses;
mod calls;
mod field;
mod lists;
mod numbers;
mod power;

use self::field::Field;
use self::numbers::Numbers;
use super::gic_tables;
use crate::console::say;
use crate::context::Context;
use crate::cpu::{Cpu, MAX_CPUS};
use crate::finish::fail_and_stop;
use crate::outcome::{Outcome, ensure, fail};
use crate::{arrival, gic, hints, kexec, pattern, time};
use core::ptr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU64};

/// How long all CPUs may take, in milliseconds.
const TIMEOUT_MS: u64 = 3_600_000;

static FIELD: AtomicPtr<Field> = AtomicPtr::new(ptr::null_mut());
/// How many things each CPU has done, and the state of its random numbers: kept here, as a CPU may be
/// off in between.
static DONE: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];
static NUMBERS: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];

/// Runs on all CPUs, in as many generations as are wanted.
pub fn run(context: &Context) -> Outcome {
    let cpus = context.cpus;
    let (calls, generation) = (context.options.calls, context.generation);
    if generation > 0 {
        arrival::check(context)?;
        if generation > context.options.generations {
            return Ok(());
        }
    } else {
        cpus.bring_up(cpus.others())?;
    }
    let seed = context.options.seed.wrapping_add(generation);
    say!(
        "fuzz: seed={seed}, {calls} times on {} CPUs",
        cpus.all.len()
    );
    let Some(gic) = &context.machine.gic else {
        fail!("expected a GICv3, seen none")
    };
    gic::init(gic, cpus.all)?;
    gic_tables::prepare(context)?;
    let mut field = Field::new(context, seed)?;
    FIELD.store(&raw mut field, Release);
    for cpu in cpus.others() {
        cpu.set_on_entry(Some(fuzz));
        cpu.start(fuzz, 0);
    }
    fuzz(cpus.boot, 0);
    let finished = |cpu: &Cpu| DONE[cpu.place()].load(Acquire) >= calls;
    let all = time::wait_until(TIMEOUT_MS, || {
        // CPUs that have turned themselves off are turned on again.
        for cpu in cpus.others().filter(|cpu| !finished(cpu)) {
            cpu.turn_on();
        }
        cpus.others().all(finished)
    });
    ensure!(
        all,
        "expected all CPUs to end within {TIMEOUT_MS} ms, seen some that did not"
    );
    for cpu in cpus.others() {
        cpu.set_on_entry(None);
    }
    say!(
        "fuzz: seed={seed}: {} calls, {} refused, {} accesses aborted",
        cpus.calls(),
        calls::refused(),
        accesses::aborted()
    );
    kexec::prepare(context, cpus.boot, 0)?.go()
}

/// A job: goes on from where the CPU was to the end.
fn fuzz(this: &'static Cpu, _: u64) -> u64 {
    let place = this.place();
    let (Some(done), Some(state)) = (DONE.get(place), NUMBERS.get(place)) else {
        return 1;
    };
    // SAFETY: `run` has stored its own, and waits until all are done.
    let Some(field) = (unsafe { FIELD.load(Acquire).as_ref() }) else {
        return 1;
    };
    gic::enable(this, 0);
    if done.load(Relaxed) == 0 {
        state.store(pattern::word(field.seed, this.place() as u64), Relaxed);
    }
    let numbers = Numbers { state, field };
    while done.load(Relaxed) < field.calls {
        let n = done.load(Relaxed) + 1;
        done.store(n, Release);
        if let Err(failure) = act(this, &numbers) {
            fail_and_stop(format_args!("CPU {:#x}, time {n}: {failure}", this.mpidr()));
        }
        if n % 256 == 0 {
            hints::relax();
        }
    }
    0
}

/// Does one thing, chosen at random.
fn act(this: &'static Cpu, numbers: &Numbers) -> Outcome {
    match numbers.below(64) {
        0..24 => {
            let id = calls::known_id(numbers);
            calls::some(id, numbers)
        }
        24..32 => {
            let id = numbers.any() as u32 >> (numbers.below(2) * numbers.below(32));
            calls::some(id, numbers)
        }
        32..36 => power::cpu_on(numbers),
        36..40 => accesses::load(numbers),
        40..44 => accesses::store(numbers),
        44..48 => accesses::odd(this, numbers),
        48 => accesses::fetch(numbers),
        49..53 => accesses::immediate(this, numbers),
        // It stops all CPUs.
        53 if numbers.below(4) == 0 => lists::refused(this, numbers),
        57 if numbers.below(2) == 0 => calls::log(this, numbers),
        57 => calls::report(this, numbers),
        58 => accesses::walk(this, numbers),
        59 => accesses::register(numbers),
        60 => power::suspend(numbers),
        61 if numbers.below(16) == 0 => power::off(this, numbers),
        62 if numbers.below(16) == 0 => gic_tables::check_redistributor(this),
        _ => {
            numbers.cpu().affinity_info();
            Ok(())
        }
    }
}
