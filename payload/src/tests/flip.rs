// SPDX-License-Identifier: Apache-2.0
//! `test=flip`: changes the list of a KEXEC from other CPUs while the monitor looks at it.
//!
//! What the list is changed to is never valid, so each KEXEC is refused, starts the next generation
//! from the list as it was, or resets the machine: where the list changes while pages are copied, the
//! next kernel is incomplete. Memory that no list mentions must be unchanged after each of them. Counts
//! the outcomes across generations and resets, until there were `generations=` of the two.

use crate::arena::{Arena, KEPT, PAGE};
use crate::call::code;
use crate::console::say;
use crate::context::Context;
use crate::cpu::Cpu;
use crate::cpus::wait_for;
use crate::kexec::{self, Prepared};
use crate::outcome::{Outcome, ensure, expect_any, fail};
use crate::{arrival, hints, pattern, time};
use baton_abi::{IND_DESTINATION, IND_INDIRECTION, IND_SOURCE};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Refusals in a row before the list is left alone.
const MAX_REFUSALS: u64 = 200_000;
/// The codes that a list is refused with.
const CODES: &[i64] = &[code::INVALID_ADDRESS, code::INVALID_PARAMETERS];
const MAGIC: u64 = u64::from_le_bytes(*b"flipping");

/// What is known of the kernels before this one, in memory that a reset keeps too.
#[derive(Clone, Copy)]
#[repr(C)]
struct Record {
    magic: u64,
    /// Seed of the pattern of memory that is left alone.
    seed: u64,
    refused: u64,
    taken: u64,
    reset: u64,
}

/// The list that is asked for, and what it is changed to.
static LIST: AtomicU64 = AtomicU64::new(0);
static MONITOR: AtomicU64 = AtomicU64::new(0);
static MONITOR_END: AtomicU64 = AtomicU64::new(0);
static SEED: AtomicU64 = AtomicU64::new(0);
static STOP: AtomicU64 = AtomicU64::new(0);
static MOVED: AtomicU64 = AtomicU64::new(0);

fn record(arena: Arena) -> *mut Record {
    // The last page of the room for a report, which no report reaches.
    (arena.report() + crate::arena::REPORT_SIZE - PAGE) as *mut Record
}

/// Goes on from what the generation, or the machine, before this one has left.
pub fn run(context: &Context) -> Outcome {
    let (cpus, arena) = (context.cpus, context.arena);
    let Some((monitor, size)) = context.machine.monitor() else {
        fail!("expected the monitor in the device tree, seen none")
    };
    let record = record(arena);
    // SAFETY: the page is the arena's, and this CPU is alone.
    let mut known = unsafe { record.read_volatile() };
    if context.generation > 0 {
        arrival::check(context)?;
        known.taken += 1;
    } else if known.magic == MAGIC {
        // SAFETY: as above.
        let damage = unsafe { pattern::find_damage(arena.kept(), KEPT, known.seed, 0) };
        if let Some((at, expected, seen)) = damage {
            fail!("memory left alone at {at:#x}: expected {expected:#x}, seen {seen:#x}");
        }
        known.reset += 1;
    } else {
        known = Record {
            magic: MAGIC,
            seed: 0,
            refused: 0,
            taken: 0,
            reset: 0,
        };
    }
    let Record {
        refused,
        taken,
        reset,
        ..
    } = known;
    say!("flip: {refused} refused, {taken} taken over, {reset} reset");
    if taken + reset >= context.options.generations {
        return Ok(());
    }
    if context.generation == 0 {
        cpus.bring_up(cpus.others())?;
    }
    let mut good = kexec::prepare(context, cpus.boot, 0)?;
    known.seed = good.handover.seed;
    let seed = context
        .options
        .seed
        .wrapping_add(refused + (taken << 32) + (reset << 48));
    for (to, value) in [
        (&LIST, good.list),
        (&MONITOR, monitor),
        (&MONITOR_END, monitor + size),
        (&SEED, seed),
        (&MOVED, arena.moved()),
    ] {
        to.store(value, Relaxed);
    }
    for cpu in cpus.others() {
        cpu.start(flip, context.machine.uart);
    }
    wait_for(cpus.others(), "to change the list", |cpu| {
        cpu.reached.load(Acquire) == 1
    })?;
    ask(&mut good, &mut known, record)?;
    // The monitor has met a bad entry each time: the list as it was, for the next generation to go on.
    STOP.store(1, Release);
    for cpu in cpus.others() {
        let stopped = time::wait_until(time::TIMEOUT_MS, || cpu.result().is_some());
        ensure!(stopped, "CPU {:#x}: expected to stop", cpu.mpidr());
    }
    good.go()
}

/// Asks again and again; returns if it was refused all the time.
fn ask(good: &mut Prepared, known: &mut Record, record: *mut Record) -> Outcome {
    for _ in 0..MAX_REFUSALS {
        // SAFETY: the page is the arena's, and nobody else's.
        unsafe { record.write_volatile(*known) };
        expect_any("KEXEC of a list that changes", CODES, good.ask())?;
        known.refused += 1;
        hints::relax();
    }
    Ok(())
}

/// A job: changes an entry of the list and back, until its generation ends.
fn flip(this: &'static Cpu, uart: u64) -> u64 {
    let (monitor, end) = (MONITOR.load(Relaxed), MONITOR_END.load(Relaxed));
    let list = LIST.load(Relaxed);
    let state = &mut SEED
        .load(Relaxed)
        .wrapping_add(pattern::mix(this.mpidr() + 1));
    let mut random = |bound: u64| {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        pattern::mix(*state) % bound
    };
    this.say_reached();
    while STOP.load(Acquire) == 0 {
        // Each CPU has entries of its own, or two could restore each other's bad value.
        let n = 1 + this.place() as u64 + 8 * random(60);
        let entry = (list + n * 8) as *mut u64;
        // SAFETY: the entry is in the list of the boot CPU, which knows of this.
        let before = unsafe { entry.read_volatile() };
        // All of them are sources, and are followed by one.
        let bad = match random(10) {
            0 => monitor | IND_SOURCE,
            1 => (end - PAGE) | IND_SOURCE,
            2 => monitor | IND_DESTINATION,
            3 => (end - PAGE) | IND_DESTINATION,
            4 => monitor | IND_INDIRECTION,
            5 => uart & !(PAGE - 1) | IND_DESTINATION,
            6 => 1 << 47 | IND_SOURCE,
            7 => before ^ IND_SOURCE,
            // The list would be overwritten, and a page that is.
            8 => list | IND_DESTINATION,
            _ => MOVED.load(Relaxed) | IND_SOURCE,
        };
        for _ in 0..1 + random(4) {
            // SAFETY: as above.
            unsafe { entry.write_volatile(bad) };
            wait(random(256));
            // SAFETY: as above.
            unsafe { entry.write_volatile(before) };
            wait(random(512));
        }
        if random(16) == 0 {
            hints::relax();
        }
    }
    0
}

fn wait(turns: u64) {
    for _ in 0..turns {
        core::hint::black_box(turns);
    }
}
