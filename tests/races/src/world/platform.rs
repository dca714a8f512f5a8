// SPDX-License-Identifier: Apache-2.0
//! The model as the platform that the monitor's code runs on: time, teardown and firmware. It
//! checks on its way that phases do not overlap, and that each part of the next kernel is copied
//! once.

use super::{Core, ENTRY, Mistake, OVER, World};
use crate::plain::Plain;
use arm_psci::ErrorCode;
use baton_core::smp::on_off::LEAVE_US;
use baton_core::smp::platform::{Milestone, Platform};
use baton_core::smp::power::Start;
use baton_core::smp::rendezvous::Rendezvous;
use baton_core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use baton_core::sync::{pause, sev, wfe};

/// How long a CPU may take to arrive: by this number the model tells the waits apart.
const ARRIVAL_US: u64 = 2;
/// How long the monitor waits for CPU_ON calls that are under way.
const CPU_ON_US: u64 = 1_000_000;

impl Platform for World {
    type Cpu = Core;
    type Refusal = ();
    type Failure = &'static str;

    fn rendezvous(&self) -> &Rendezvous {
        &self.rendezvous
    }

    fn cpus(&self) -> &[Core] {
        &self.cores
    }

    /// Time may pass as fast as it likes: a wait that may time out does so at the first look,
    /// before which any other CPU may have done anything.
    fn wait_us(&self, us: u64, mut done: impl FnMut() -> bool) -> bool {
        let times_out = match us {
            CPU_ON_US => self.conditions.hasty,
            LEAVE_US => self.conditions.rash,
            // The monitor's other bounds are never reached: those of phase 1's steps end it, and
            // phase 3 would end in a reset.
            _ => us == ARRIVAL_US / 2 && self.conditions.impatient,
        };
        loop {
            if done() {
                return true;
            }
            if times_out {
                return false;
            }
            pause();
        }
    }

    fn arrival_timeout_us(&self) -> u64 {
        ARRIVAL_US
    }

    fn mark_reached(&self, _: Milestone) {}

    fn end_generation(&self) {
        self.alive.store(0, Release);
        sev();
    }

    fn kick_from_outside(&self, _: &Core, _: impl FnOnce() -> bool) {}

    fn mark_arrived(&self, _: &Core) {}

    /// There is one round. Its parts are those of all CPUs that have gathered, none of which is in its
    /// guest, and all of which see the request.
    fn begin_round(&self, round: u8) -> Result<bool, ()> {
        let generation = self.rendezvous.generation();
        if round == 0 {
            self.plan.set(generation);
            self.places.iter().for_each(|place| place.set(0));
            return Ok(true);
        }
        self.assert_all_did_their_parts("checked");
        match generation <= self.conditions.refused {
            true => Err(()),
            false => Ok(false),
        }
    }

    fn check(&self, cpu: &Core) {
        assert_eq!(self.plan.get(), self.rendezvous.generation(), "the request");
        self.do_part(cpu);
    }

    fn resume_generation(&self, generation: u64) {
        if self.conditions.mistake != Some(Mistake::MemoryLast) {
            self.give_memory_back(generation);
        }
    }

    fn accept(&self, _: &Core, missing: usize) {
        let over = self.rendezvous.generation() - 1;
        self.behind[over as usize].store(missing as u64, Relaxed);
    }

    fn teardown_timeout_us(&self) -> u64 {
        10 * ARRIVAL_US
    }

    fn mark_recovered(&self, generation: u64) {
        let one_less = |behind: u64| behind.checked_sub(1);
        let behind = self.behind[generation as usize].fetch_update(AcqRel, Relaxed, one_less);
        assert!(behind.is_ok(), "a CPU recovered that was not left behind");
    }

    fn teardown_private(&self, cpu: &Core, _: bool) {
        cpu.state.set(0);
    }

    fn teardown_shared(&self, _: &Core) {
        let generation = self.rendezvous.generation();
        for core in &self.cores {
            if core.member.arrival().has_arrived(generation) {
                assert_eq!(core.state.get(), 0, "CPU {} is in phase 1", core.index);
            }
        }
        self.places.iter().for_each(|place| place.set(0));
    }

    fn load(&self, cpu: &Core) {
        self.do_part(cpu);
        cpu.copied.set(self.plan.get());
    }

    fn begin_generation(&self, generation: u64) -> Result<Start, &'static str> {
        self.assert_all_did_their_parts("copied");
        self.memory.set(generation);
        self.alive.store(generation + 1, Release);
        Ok(Start {
            entry: ENTRY,
            context: self.kernel_of(generation),
        })
    }

    fn firmware_on(&self, cpu: &Core) -> Result<(), ErrorCode> {
        if self.conditions.refuses {
            return Err(ErrorCode::InternalFailure);
        }
        if cpu
            .running
            .fetch_update(AcqRel, Acquire, |on| (!on).then_some(true))
            .is_err()
        {
            return Err(ErrorCode::AlreadyOn);
        }
        sev();
        Ok(())
    }

    fn firmware_has_on(&self, cpu: &Core) -> bool {
        cpu.running.load(Acquire)
    }

    fn patience(&self, _: &Core) -> Option<impl Fn() -> bool> {
        let over = self.conditions.restless;
        Some(move || over)
    }

    fn rest(&self) {
        wfe();
    }

    fn firmware_off(&self, cpu: &Core) -> Result<(), ErrorCode> {
        cpu.running.store(false, Release);
        self.wait_in_firmware(cpu);
        Ok(())
    }

    fn teardown_at_off(&self, cpu: &Core, _: Option<&Core>) {
        cpu.state.set(0);
    }
}

impl World {
    /// Does the part of `core` in what all CPUs do together.
    fn do_part(&self, core: &Core) {
        let (place, of) = self.rendezvous.share_of(core);
        assert!(place < of, "place {place} of {of}");
        assert_eq!(self.places[place].get(), 0, "two CPUs have place {place}");
        self.places[place].set(of as u64);
    }

    pub(super) fn give_memory_back(&self, generation: u64) {
        self.memory.set(generation);
        self.alive.store(generation + 1, Release);
        sev();
    }

    fn assert_all_did_their_parts(&self, what: &str) {
        let places = self.places.iter().map(Plain::get);
        let of = self.places[0].get();
        assert_eq!(
            places.filter(|&place| place == of && of > 0).count() as u64,
            of,
            "not all of the next kernel was {what}"
        );
    }

    /// Waits, off in firmware. Returns true once `core` is started, false if it never will be.
    pub(super) fn wait_in_firmware(&self, core: &Core) -> bool {
        while !core.running.load(Acquire) {
            if self.conditions.refuses && self.alive.load(Acquire) & OVER != 0 {
                return false;
            }
            wfe();
        }
        true
    }
}
