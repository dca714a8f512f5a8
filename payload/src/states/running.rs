// SPDX-License-Identifier: Apache-2.0
//! CPUs that run, and what they write.

use crate::arena::{Arena, PAGE};
use crate::console::say;
use crate::cpu::Cpu;
use crate::cpus::Cpus;
use crate::hints;
use crate::outcome::{Outcome, ensure};
use crate::time::{microseconds, physical_now};
use core::sync::atomic::Ordering::Relaxed;

/// A loop with all interrupts masked, as the probe always has them. YIELD is for emulators that run
/// all CPUs on one thread: without it each such CPU takes a whole time slice.
pub fn masked_loop(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    loop {
        beat(this, 0);
        hints::relax();
    }
}

/// A loop of a single branch, which such an emulator cannot leave early.
pub fn tight_loop(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    // SAFETY: does nothing, for ever: there is no instruction but the branch.
    unsafe { core::arch::asm!("1: b 1b", options(noreturn, nomem, nostack)) }
}

/// Stores as fast as it can: its heartbeat, and into the page at address `victim`, which the reboot
/// overwrites: were one of the stores to land after that, the next generation would find it.
pub fn store(this: &'static Cpu, victim: u64) -> u64 {
    this.say_reached();
    loop {
        for _ in 0..64 {
            beat(this, victim);
        }
        hints::relax();
    }
}

/// Stores the time as fast as it can, into a page that the reboot leaves alone: the next generation
/// sees when the last store landed ([`check_witness`]).
pub fn witness(this: &'static Cpu, _: u64) -> u64 {
    let page = Arena::of_running().witness(this.place());
    this.say_reached();
    loop {
        for word in (page..page + PAGE).step_by(8) {
            beat(this, 0);
            // SAFETY: the page is this CPU's own, in the arena.
            unsafe { (word as *mut u64).write_volatile(physical_now()) };
        }
        hints::relax();
    }
}

/// Counts, and stores the count into the page at address `victim` if it isn't 0.
pub fn beat(this: &Cpu, victim: u64) {
    let count = this.heartbeat.load(Relaxed).wrapping_add(1);
    this.heartbeat.store(count, Relaxed);
    if victim != 0 {
        let word = victim + count % (PAGE / 8) * 8;
        // SAFETY: `spread` gives each CPU a page of its own in a part of the arena that is free.
        unsafe { (word as *mut u64).write_volatile(count) };
    }
}

/// Checks that no CPU in the state [`witness`] stored anything after its generation had `ended` (by
/// CNTPCT_EL0), and clears the pages.
pub fn check_witness(arena: Arena, cpus: &Cpus, ended: u64) -> Outcome {
    let (mut stores, mut newest) = (0_u64, 0);
    for cpu in cpus.all {
        let page = arena.witness(cpu.place());
        for word in (page..page + PAGE).step_by(8) {
            // SAFETY: the page is in the arena.
            let time = unsafe { (word as *const u64).read_volatile() };
            // SAFETY: as above.
            unsafe { (word as *mut u64).write_volatile(0) };
            stores += u64::from(time != 0);
            newest = time.max(newest);
            ensure!(
                time <= ended,
                "store of CPU {:#x}: expected before {ended}, when its generation ended, seen at {time}",
                cpu.mpidr()
            );
        }
    }
    if stores > 0 {
        let before = microseconds(ended - newest);
        say!("witness: {stores} stores, the last one {before} us before the generation ended");
    }
    Ok(())
}

/// Checks that nobody has stored anything in the pages of [`witness`] since they were cleared.
pub fn clear_since(arena: Arena, cpus: &Cpus) -> Outcome {
    for cpu in cpus.all {
        let page = arena.witness(cpu.place());
        for word in (page..page + PAGE).step_by(8) {
            // SAFETY: the page is in the arena.
            let time = unsafe { (word as *const u64).read_volatile() };
            ensure!(
                time == 0,
                "store of CPU {:#x}: expected none in this generation, seen at {time}",
                cpu.mpidr()
            );
        }
    }
    Ok(())
}
