// SPDX-License-Identifier: Apache-2.0
//! What the CPUs of a takeover share: which of them it takes, and where they wait for each other.

use crate::smp::arrival::Arrival;
use crate::smp::barrier::Barrier;
use crate::smp::gate::{Closed, Gate, Pass, Preparation};
use crate::smp::stage::Stage;
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::atomic::{AtomicU32, AtomicU64};
use crate::sync::{Lock, sev, wfe};
use alloc::boxed::Box;

/// One CPU's part in takeovers.
#[derive(Debug)]
pub struct Member {
    /// The generation of the kernel it runs; one behind the rendezvous's while it is being taken.
    generation: AtomicU64,
    /// Whether it arrived in the last takeover in time.
    arrival: Arrival,
    /// Its place among the CPUs that have gathered; used only when these are not all.
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
    #[cfg_attr(feature = "loom", track_caller)]
    pub fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// Makes the CPU one of generation `generation`, which has memory.
    #[cfg_attr(feature = "loom", track_caller)]
    pub fn set_generation(&self, generation: u64) {
        // Release: who finds that its generation goes on finds its memory too.
        self.generation.store(generation, Release);
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
    /// How many takeovers have begun, those that were refused too.
    generation: AtomicU64,
    /// What the boot CPU has had all CPUs do last: a [`Stage`] of a generation.
    order: AtomicU64,
    /// Complete when all CPUs are in the monitor.
    gathered: Box<Barrier>,
    /// Complete when all CPUs have checked their parts of the request, once a round.
    checked: Box<Barrier>,
    /// Complete when all CPUs have finished phase 1.
    phase1: Box<Barrier>,
    /// Complete when all CPUs have finished phase 3.
    phase3: Box<Barrier>,
    /// Held while a CPU is added or removed.
    members: Lock<Members>,
    /// How many CPUs have gathered, and whether these are all CPUs: then a CPU's index is its place.
    sharers: AtomicU32,
    all_share: AtomicU32,
}

impl Rendezvous {
    /// Returns a rendezvous before the first takeover, without any CPU.
    pub fn new() -> Self {
        Self {
            gate: Gate::new(),
            generation: AtomicU64::new(0),
            order: AtomicU64::new(0),
            gathered: Box::default(),
            checked: Box::default(),
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
    /// being loaded. A kernel whose request was refused goes on as the next generation.
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
    /// runs, and calls `admitted` before any takeover can begin. Returns false, and changes nothing, while
    /// one is under way.
    pub fn admit(&self, cpu: &impl Participant, admitted: impl FnOnce()) -> bool {
        let mut members = self.members.lock();
        if !members.closed {
            cpu.member().set_generation(self.generation());
            self.add(&mut members, cpu);
            admitted();
        }
        !members.closed
    }

    /// Adds `cpu`, unless it is one of them.
    fn add(&self, members: &mut Members, cpu: &impl Participant) {
        if cpu.member().arrival.expect() {
            members.count += 1;
            self.gathered.add(cpu.index());
            self.after_gathering()
                .for_each(|stage| stage.add(cpu.index()));
        }
    }

    /// Removes `cpu`, if it is one of them.
    fn remove(&self, members: &mut Members, cpu: &impl Participant) {
        if cpu.member().arrival.stop_expecting() {
            members.count -= 1;
            self.gathered.remove(cpu.index());
            self.after_gathering()
                .for_each(|stage| stage.remove(cpu.index()));
        }
    }

    /// Returns the barriers at which those meet that have gathered.
    fn after_gathering(&self) -> impl Iterator<Item = &Barrier> {
        [&*self.checked, &*self.phase1, &*self.phase3].into_iter()
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
        let arrived = cpu.member().arrival.arrive(generation);
        if arrived {
            self.gathered.arrive(cpu.index(), generation);
        }
        arrived
    }

    /// Returns whether all CPUs that were not given up are in the monitor.
    pub fn is_gathered(&self, generation: u64) -> bool {
        self.gathered.is_complete(generation)
    }

    /// Returns whether the takeover waits for `cpu`, which has not arrived.
    pub fn is_awaited(&self, cpu: &impl Participant, generation: u64) -> bool {
        let arrival = &cpu.member().arrival;
        arrival.is_expected() && !arrival.has_arrived(generation)
    }

    /// Gives `cpu` up, so that nobody waits for it. Returns false, and changes nothing, if it has
    /// arrived or is not expected. No [`Stage`] of this generation has begun.
    pub fn give_up(&self, cpu: &impl Participant, generation: u64) -> bool {
        let given_up = cpu.member().arrival.give_up(generation);
        if given_up {
            self.after_gathering()
                .for_each(|stage| stage.remove(cpu.index()));
            self.gathered.arrive(cpu.index(), generation);
        }
        given_up
    }

    /// Has all CPUs that have gathered for `generation` do `stage`, and wakes those that wait for it.
    pub fn order(&self, generation: u64, stage: Stage) {
        self.order.store(stage.of(generation), Release);
        sev();
    }

    /// Waits for what the boot CPU has the CPUs of `generation` do after `done`, the last that the
    /// calling CPU has done, and returns it.
    ///
    /// This wait has no bound of its own: the boot CPU orders, or resets the machine.
    pub fn await_order(&self, generation: u64, done: Option<Stage>) -> Stage {
        let done = done.map_or(generation << Stage::BITS, |stage| stage.of(generation));
        loop {
            let order = self.order.load(Acquire);
            if order > done {
                return Stage::in_generation(order, generation);
            }
            wfe();
        }
    }

    /// Records that `cpu` has done `stage`, for which others wait.
    pub fn finish(&self, cpu: &impl Participant, generation: u64, stage: Stage) {
        if let Some(barrier) = self.barrier_of(stage) {
            barrier.arrive(cpu.index(), stage.of(generation));
        }
    }

    /// Returns whether all CPUs that have gathered have done `stage`.
    pub fn is_finished(&self, generation: u64, stage: Stage) -> bool {
        let done = |barrier: &Barrier| barrier.is_complete(stage.of(generation));
        self.barrier_of(stage).is_none_or(done)
    }

    /// Returns where those meet that have done `stage`; each goes its own way from [`Stage::Refused`].
    fn barrier_of(&self, stage: Stage) -> Option<&Barrier> {
        match stage {
            Stage::Check(_) => Some(&self.checked),
            Stage::Refused => None,
            Stage::Phase1 => Some(&self.phase1),
            Stage::Phase3 => Some(&self.phase3),
        }
    }

    /// Has the kernel of the generation before, which has its memory again, go on as `generation`: with
    /// those of `cpus`, all CPUs, that have gathered, and with those that were given up.
    pub fn resume<C: Participant>(&self, cpus: &[C], generation: u64) {
        let _members = self.members.lock();
        for cpu in cpus {
            let member = cpu.member();
            if member.arrival.is_missing(generation) && member.arrival.is_expected() {
                self.after_gathering()
                    .for_each(|stage| stage.add(cpu.index()));
            }
            // One of an earlier kernel has yet to recover.
            if member.generation() + 1 == generation {
                member.set_generation(generation);
            }
        }
    }

    /// Decides which part of what they do together is that of each of `cpus`, all CPUs, after `missing`
    /// of them have been given up.
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

    /// Returns how many CPUs have gathered, as [`Rendezvous::share_out`] found.
    pub fn sharers(&self) -> usize {
        self.sharers.load(Relaxed) as usize
    }

    /// Returns whether some CPUs take no part, as [`Rendezvous::share_out`] found.
    pub fn has_absent(&self) -> bool {
        self.all_share.load(Relaxed) == 0
    }

    /// Returns which part of what all CPUs do together, counted from 0, is that of `cpu`, and how many
    /// parts there are.
    /// [`Rendezvous::share_out`] has decided it.
    pub fn share_of(&self, cpu: &impl Participant) -> (usize, usize) {
        let place = match self.all_share.load(Relaxed) {
            0 => cpu.member().share.load(Relaxed) as usize,
            _ => cpu.index(),
        };
        (place, self.sharers())
    }

    /// Removes `cpu`, which was given up: no takeover waits for it before it has recovered.
    pub fn forget(&self, cpu: &impl Participant) {
        let mut members = self.members.lock();
        if cpu.member().arrival.stop_expecting() {
            members.count -= 1;
            self.gathered.remove(cpu.index());
        }
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
