// SPDX-License-Identifier: Apache-2.0
//! Which CPUs a takeover takes, and how they and the boot CPU find together.

use crate::smp::arrival::Arrival;
use crate::smp::barrier::Barrier;
use crate::smp::gate::{Closed, Gate, Pass, Preparation};
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::atomic::{AtomicU32, AtomicU64};
use crate::sync::{Lock, sev};
use alloc::boxed::Box;

/// One CPU's part in takeovers.
#[derive(Debug)]
pub struct Member {
    /// The generation it lives in; one behind the rendezvous's while it is being taken.
    generation: AtomicU64,
    /// Whether it came to the last takeover in time.
    arrival: Arrival,
    /// Its place among those that copy, where not all CPUs do.
    share: AtomicU32,
}

/// A CPU, as takeovers see it.
pub trait Participant {
    /// Its place in the device tree, counted from 0.
    fn index(&self) -> usize;

    /// Its part in takeovers.
    fn member(&self) -> &Member;
}

impl Member {
    /// Returns the part of a CPU that the monitor does not have yet.
    pub fn new() -> Self {
        Self {
            generation: AtomicU64::new(0),
            arrival: Arrival::new(),
            share: AtomicU32::new(0),
        }
    }

    /// Returns the generation that the CPU lives in.
    pub fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// The CPU itself: it lives in the generation `generation` from now on.
    pub fn live_in(&self, generation: u64) {
        self.generation.store(generation, Relaxed);
    }

    /// Returns whether the CPU came to the takeover `generation`, and when not, whether it was given up.
    pub fn arrival(&self) -> &Arrival {
        &self.arrival
    }
}

impl Default for Member {
    fn default() -> Self {
        Self::new()
    }
}

/// How many CPUs the monitor has.
#[derive(Debug)]
struct Roll {
    cpus: usize,
    /// A takeover is under way, and counts on those that there were as it began.
    closed: bool,
}

/// The CPUs of all takeovers: of the last one, or of the one that is under way.
#[derive(Debug)]
pub struct Rendezvous {
    gate: Gate,
    /// The takeovers that have begun.
    generation: AtomicU64,
    /// The last one whose phase 3 has begun.
    released: AtomicU64,
    /// All have finished phase 1.
    arrived: Box<Barrier>,
    /// All have finished phase 3.
    loaded: Box<Barrier>,
    /// Held while a CPU comes or goes.
    roll: Lock<Roll>,
    /// CPUs that copy, and whether these are all CPUs, so that a CPU's index is its place.
    sharers: AtomicU32,
    all_share: AtomicU32,
}

impl Rendezvous {
    /// Returns the state in which no takeover has been, and there is no CPU.
    pub fn new() -> Self {
        Self {
            gate: Gate::new(),
            generation: AtomicU64::new(0),
            released: AtomicU64::new(0),
            arrived: Box::default(),
            loaded: Box::default(),
            roll: Lock::new(Roll {
                cpus: 0,
                closed: false,
            }),
            sharers: AtomicU32::new(0),
            all_share: AtomicU32::new(0),
        }
    }

    /// Returns how many takeovers have begun.
    #[cfg_attr(feature = "loom", track_caller)]
    pub fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// Returns whether the kernel that `member` lives in is no more.
    #[cfg_attr(feature = "loom", track_caller)]
    pub fn is_over(&self, member: &Member) -> bool {
        self.generation() != member.generation()
    }

    /// Returns whether a takeover is under way.
    pub fn is_closed(&self) -> bool {
        self.gate.is_closed()
    }

    /// Lets a call through that starts a CPU, unless a takeover is under way. The caller may have
    /// been held for as long as a takeover lasts: whether its kernel is over is asked after this.
    pub fn pass(&self) -> Option<Pass<'_>> {
        self.gate.pass()
    }

    /// Gives the right to prepare a takeover to one caller at a time, of the kernel that runs.
    pub fn prepare(&self, caller: &Member) -> Option<Preparation<'_>> {
        let preparation = self.gate.prepare()?;
        // The caller may have been held for as long as a takeover lasts: its kernel is over then.
        (!self.is_over(caller)).then_some(preparation)
    }

    /// The CPU that starts the first guest is one of the monitor's.
    pub fn expect_boot_cpu(&self, cpu: &impl Participant) {
        self.add(&mut self.roll.lock(), cpu);
    }

    /// The monitor will have `cpu` from now on, as `caller` has it started in their generation.
    /// Returns false, and nothing is done, if that is over.
    pub fn expect(&self, cpu: &impl Participant, caller: &Member, _: &Pass) -> bool {
        let mut roll = self.roll.lock();
        let still_runs = !self.is_over(caller);
        if still_runs {
            cpu.member().live_in(caller.generation());
            self.add(&mut roll, cpu);
        }
        still_runs
    }

    /// The monitor will not have `cpu`, or no longer. Returns false, and nothing is done, while a
    /// takeover is under way: the CPU comes to it, or is given up.
    pub fn expect_no_longer(&self, cpu: &impl Participant) -> bool {
        let mut roll = self.roll.lock();
        if !roll.closed {
            self.remove(&mut roll, cpu);
        }
        !roll.closed
    }

    /// The monitor has `cpu` again, which nobody counted on; it belongs to the current generation.
    /// Returns false, and nothing is done, while a takeover is under way.
    pub fn admit(&self, cpu: &impl Participant) -> bool {
        let mut roll = self.roll.lock();
        if !roll.closed {
            cpu.member().live_in(self.generation());
            self.add(&mut roll, cpu);
        }
        !roll.closed
    }

    fn add(&self, roll: &mut Roll, cpu: &impl Participant) {
        if cpu.member().arrival.expect() {
            roll.cpus += 1;
            self.arrived.add(cpu.index());
            self.loaded.add(cpu.index());
        }
    }

    fn remove(&self, roll: &mut Roll, cpu: &impl Participant) {
        if cpu.member().arrival.expect_no_longer() {
            roll.cpus -= 1;
            self.arrived.remove(cpu.index());
            self.loaded.remove(cpu.index());
        }
    }

    /// Begins a takeover, and returns its generation. From here on every exit leads to it, and nobody
    /// joins or leaves the CPUs that it takes.
    pub fn begin(&self, _: &Closed) -> u64 {
        let mut roll = self.roll.lock();
        roll.closed = true;
        self.generation.fetch_add(1, AcqRel) + 1
    }

    /// `cpu` comes to the takeover `generation`. Returns false if that does not count on it: it must not
    /// take part.
    pub fn come(&self, cpu: &impl Participant, generation: u64) -> bool {
        cpu.member().arrival.arrive(generation)
    }

    /// `cpu` has finished phase 1.
    pub fn has_arrived(&self, cpu: &impl Participant, generation: u64) {
        self.arrived.arrive(cpu.index(), generation);
    }

    /// Returns whether all CPUs that were not given up have finished phase 1.
    pub fn all_arrived(&self, generation: u64) -> bool {
        self.arrived.is_complete(generation)
    }

    /// Returns whether `cpu` has yet to come.
    pub fn is_awaited(&self, cpu: &impl Participant, generation: u64) -> bool {
        let arrival = &cpu.member().arrival;
        arrival.is_expected() && !arrival.has_arrived(generation)
    }

    /// Goes on without `cpu`, unless it came meanwhile; returns whether it is given up.
    pub fn give_up(&self, cpu: &impl Participant, generation: u64) -> bool {
        let given_up = cpu.member().arrival.give_up(generation);
        if given_up {
            self.arrived.arrive(cpu.index(), generation);
            self.loaded.arrive(cpu.index(), generation);
        }
        given_up
    }

    /// Decides which part of the plan each of `cpus` copies, when `missing` of them are given up.
    pub fn share_out<C: Participant>(&self, cpus: &[C], generation: u64, missing: usize) {
        let sharers = self.roll.lock().cpus - missing;
        let all = sharers == cpus.len();
        if !all {
            let arrived = cpus
                .iter()
                .filter(|cpu| cpu.member().arrival.has_arrived(generation));
            for (cpu, place) in arrived.zip(0..) {
                cpu.member().share.store(place, Relaxed);
            }
        }
        self.sharers.store(sharers as u32, Relaxed);
        self.all_share.store(all.into(), Relaxed);
    }

    /// Returns whether some CPUs take no part. To be called after [`Rendezvous::share_out`].
    pub fn has_absent(&self) -> bool {
        self.all_share.load(Relaxed) == 0
    }

    /// Returns which part of the plan, of how many, `cpu` copies. In phase 3.
    pub fn share_of(&self, cpu: &impl Participant) -> (usize, usize) {
        let place = match self.all_share.load(Relaxed) {
            0 => cpu.member().share.load(Relaxed) as usize,
            _ => cpu.index(),
        };
        (place, self.sharers.load(Relaxed) as usize)
    }

    /// Lets all CPUs go on to phase 3.
    pub fn release(&self, generation: u64) {
        self.released.store(generation, Release);
        sev();
    }

    /// Returns whether phase 3 of `generation` has begun.
    pub fn is_released(&self, generation: u64) -> bool {
        self.released.load(Acquire) >= generation
    }

    /// `cpu` has finished phase 3.
    pub fn has_loaded(&self, cpu: &impl Participant, generation: u64) {
        self.loaded.arrive(cpu.index(), generation);
    }

    /// Returns whether all CPUs that were not given up have finished phase 3.
    pub fn all_loaded(&self, generation: u64) -> bool {
        self.loaded.is_complete(generation)
    }

    /// A CPU that was given up is not expected again before it has come.
    pub fn forget(&self, cpu: &impl Participant) {
        self.remove(&mut self.roll.lock(), cpu);
    }

    /// Ends the takeover: CPUs come and go again.
    pub fn end(&self, closed: Closed) {
        self.roll.lock().closed = false;
        closed.open();
    }
}

impl Default for Rendezvous {
    fn default() -> Self {
        Self::new()
    }
}
