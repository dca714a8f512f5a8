// SPDX-License-Identifier: Apache-2.0
//! What the CPUs of a takeover share: which of them it takes, and where they wait for each other.

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
    /// The generation of the kernel it runs; one behind the rendezvous's while it is being taken.
    generation: AtomicU64,
    /// Whether it arrived in the last takeover in time.
    arrival: Arrival,
    /// Its place among the CPUs that copy; used only when not all CPUs do.
    share: AtomicU32,
}

/// A CPU, as takeovers see it.
pub trait Participant {
    /// Returns its place in the device tree, counted from 0.
    fn index(&self) -> usize;

    /// Returns its part in takeovers.
    fn member(&self) -> &Member;
}

impl Member {
    /// Returns the part of a CPU that no takeover waits for yet.
    pub fn new() -> Self {
        Self {
            generation: AtomicU64::new(0),
            arrival: Arrival::new(),
            share: AtomicU32::new(0),
        }
    }

    /// Returns the generation of the kernel that the CPU runs.
    pub fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Makes the CPU one of generation `generation`.
    pub fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Relaxed);
    }

    /// Returns the CPU's arrival in the last takeover.
    pub fn arrival(&self) -> &Arrival {
        &self.arrival
    }
}

impl Default for Member {
    fn default() -> Self {
        Self::new()
    }
}

/// The CPUs that a takeover takes.
#[derive(Debug)]
struct Members {
    count: usize,
    /// A takeover is under way, and takes those that there were when it began.
    closed: bool,
}

/// What all CPUs share of the takeover that is under way, or of the last one.
#[derive(Debug)]
pub struct Rendezvous {
    gate: Gate,
    /// How many takeovers have begun.
    generation: AtomicU64,
    /// The generation whose phase 3 has begun last.
    released: AtomicU64,
    /// Complete when all CPUs have finished phase 1.
    phase1: Box<Barrier>,
    /// Complete when all CPUs have finished phase 3.
    phase3: Box<Barrier>,
    /// Held while a CPU is added or removed.
    members: Lock<Members>,
    /// How many CPUs copy, and whether these are all CPUs: then a CPU's index is its place.
    sharers: AtomicU32,
    all_share: AtomicU32,
}

impl Rendezvous {
    /// Returns a rendezvous before the first takeover, without any CPU.
    pub fn new() -> Self {
        Self {
            gate: Gate::new(),
            generation: AtomicU64::new(0),
            released: AtomicU64::new(0),
            phase1: Box::default(),
            phase3: Box::default(),
            members: Lock::new(Members {
                count: 0,
                closed: false,
            }),
            sharers: AtomicU32::new(0),
            all_share: AtomicU32::new(0),
        }
    }

    /// Returns how many takeovers have begun, which is the generation of the kernel that runs or is
    /// being loaded.
    #[cfg_attr(feature = "loom", track_caller)]
    pub fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// Returns whether the kernel of `member`'s generation is over: a takeover has begun since.
    #[cfg_attr(feature = "loom", track_caller)]
    pub fn is_over(&self, member: &Member) -> bool {
        self.generation() != member.generation()
    }

    /// Returns whether a takeover is under way.
    pub fn is_closed(&self) -> bool {
        self.gate.is_closed()
    }

    /// Counts a call that starts a CPU as under way; `None` if a takeover is under way.
    ///
    /// The caller may have been held for as long as a takeover lasts, so it has to ask after this
    /// whether its kernel is over ([`Self::is_over`]).
    pub fn pass(&self) -> Option<Pass<'_>> {
        self.gate.pass()
    }

    /// Gives the right to prepare a takeover; `None` if another caller has it, if a takeover is
    /// under way, or if the caller's kernel is over.
    pub fn prepare(&self, caller: &Member) -> Option<Preparation<'_>> {
        let preparation = self.gate.prepare()?;
        // The caller may have been held before the line above for as long as a takeover lasts.
        (!self.is_over(caller)).then_some(preparation)
    }

    /// Adds a CPU that runs without CPU_ON, as the one that enters the first guest does.
    pub fn expect_boot_cpu(&self, cpu: &impl Participant) {
        self.add(&mut self.members.lock(), cpu);
    }

    /// Adds `cpu`, which `caller` is about to start, to the generation of `caller`. Returns false,
    /// and changes nothing, if that generation is over.
    pub fn expect(&self, cpu: &impl Participant, caller: &Member, _: &Pass) -> bool {
        let mut members = self.members.lock();
        let still_runs = !self.is_over(caller);
        if still_runs {
            cpu.member().set_generation(caller.generation());
            self.add(&mut members, cpu);
        }
        still_runs
    }

    /// Removes `cpu`, which was not started or leaves for firmware. Returns false, and changes
    /// nothing, while a takeover is under way: that waits for the CPU, or gives it up.
    pub fn stop_expecting(&self, cpu: &impl Participant) -> bool {
        let mut members = self.members.lock();
        if !members.closed {
            self.remove(&mut members, cpu);
        }
        !members.closed
    }

    /// Adds `cpu`, which has recovered after it was given up or removed, to the generation that
    /// runs. Returns false, and changes nothing, while a takeover is under way.
    pub fn admit(&self, cpu: &impl Participant) -> bool {
        let mut members = self.members.lock();
        if !members.closed {
            cpu.member().set_generation(self.generation());
            self.add(&mut members, cpu);
        }
        !members.closed
    }

    /// Adds `cpu`, unless it is one of them.
    fn add(&self, members: &mut Members, cpu: &impl Participant) {
        if cpu.member().arrival.expect() {
            members.count += 1;
            self.phase1.add(cpu.index());
            self.phase3.add(cpu.index());
        }
    }

    /// Removes `cpu`, if it is one of them.
    fn remove(&self, members: &mut Members, cpu: &impl Participant) {
        if cpu.member().arrival.stop_expecting() {
            members.count -= 1;
            self.phase1.remove(cpu.index());
            self.phase3.remove(cpu.index());
        }
    }

    /// Begins a takeover, and returns its generation. From here on every CPU joins it at its next
    /// exit, and no CPU is added or removed.
    pub fn begin(&self, _: &Closed) -> u64 {
        let mut members = self.members.lock();
        members.closed = true;
        self.generation.fetch_add(1, AcqRel) + 1
    }

    /// Records that `cpu` has arrived in the takeover `generation`. Returns false if the takeover
    /// does not wait for it, or not any more: then it must take no part.
    pub fn arrive(&self, cpu: &impl Participant, generation: u64) -> bool {
        cpu.member().arrival.arrive(generation)
    }

    /// Records that `cpu` has finished phase 1.
    pub fn finish_phase1(&self, cpu: &impl Participant, generation: u64) {
        self.phase1.arrive(cpu.index(), generation);
    }

    /// Returns whether all CPUs that were not given up have finished phase 1.
    pub fn is_phase1_finished(&self, generation: u64) -> bool {
        self.phase1.is_complete(generation)
    }

    /// Returns whether the takeover waits for `cpu`, which has not arrived.
    pub fn is_awaited(&self, cpu: &impl Participant, generation: u64) -> bool {
        let arrival = &cpu.member().arrival;
        arrival.is_expected() && !arrival.has_arrived(generation)
    }

    /// Gives `cpu` up, so that no phase waits for it. Returns false, and changes nothing, if it has
    /// arrived or is not expected.
    pub fn give_up(&self, cpu: &impl Participant, generation: u64) -> bool {
        let given_up = cpu.member().arrival.give_up(generation);
        if given_up {
            self.phase1.arrive(cpu.index(), generation);
            self.phase3.arrive(cpu.index(), generation);
        }
        given_up
    }

    /// Decides which part of the plan each of `cpus`, all CPUs, copies, after `missing` of them
    /// have been given up.
    pub fn share_out<C: Participant>(&self, cpus: &[C], generation: u64, missing: usize) {
        let sharers = self.members.lock().count - missing;
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

    /// Returns whether some CPUs take no part, as [`Rendezvous::share_out`] found.
    pub fn has_absent(&self) -> bool {
        self.all_share.load(Relaxed) == 0
    }

    /// Returns which part of the plan, counted from 0, `cpu` copies, and how many parts there are.
    /// For phase 3: [`Rendezvous::share_out`] has decided it.
    pub fn share_of(&self, cpu: &impl Participant) -> (usize, usize) {
        let place = match self.all_share.load(Relaxed) {
            0 => cpu.member().share.load(Relaxed) as usize,
            _ => cpu.index(),
        };
        (place, self.sharers.load(Relaxed) as usize)
    }

    /// Lets all CPUs of `generation` go on to phase 3, and wakes those that wait for it.
    pub fn release(&self, generation: u64) {
        self.released.store(generation, Release);
        sev();
    }

    /// Returns whether phase 3 of `generation` has begun.
    pub fn is_released(&self, generation: u64) -> bool {
        self.released.load(Acquire) >= generation
    }

    /// Records that `cpu` has finished phase 3.
    pub fn finish_phase3(&self, cpu: &impl Participant, generation: u64) {
        self.phase3.arrive(cpu.index(), generation);
    }

    /// Returns whether all CPUs that were not given up have finished phase 3.
    pub fn is_phase3_finished(&self, generation: u64) -> bool {
        self.phase3.is_complete(generation)
    }

    /// Removes `cpu`, which was given up: no takeover waits for it before it has recovered.
    pub fn forget(&self, cpu: &impl Participant) {
        self.remove(&mut self.members.lock(), cpu);
    }

    /// Ends the takeover: CPUs can be turned on and off again.
    pub fn end(&self, closed: Closed) {
        self.members.lock().closed = false;
        closed.open();
    }
}

impl Default for Rendezvous {
    fn default() -> Self {
        Self::new()
    }
}
