// SPDX-License-Identifier: Apache-2.0
//! The model as the platform that the monitor's code runs on: time, teardown and firmware. It
//! checks on its way that phases do not overlap, and that each part of the next kernel is copied
//! once.

use super::{Core, ENTRY, OVER, World};
use crate::plain::Plain;
use arm_psci::ErrorCode;
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

    fn leave_behind(&self, missing: usize) {
        let over = self.rendezvous.generation() - 1;
        self.behind[over as usize].store(missing as u64, Relaxed);
    }

    fn mark_recovered(&self, generation: u64) {
        let one_less = |behind: u64| behind.checked_sub(1);
        let behind = self.behind[generation as usize].fetch_update(AcqRel, Relaxed, one_less);
        assert!(behind.is_ok(), "a CPU recovered that was not left behind");
    }

    fn teardown_private(&self, cpu: &Core, _: bool) {
        cpu.state.set(0);
    }

    fn teardown_shared(&self, _: &Core, _: usize) {
        let generation = self.rendezvous.generation();
        for core in &self.cores {
            if core.member.arrival().has_arrived(generation) {
                assert_eq!(core.state.get(), 0, "CPU {} is in phase 1", core.index);
            }
        }
        self.plan.set(generation);
        self.places.iter().for_each(|place| place.set(0));
    }

    fn load(&self, cpu: &Core) {
        let (place, of) = self.rendezvous.share_of(cpu);
        assert!(place < of, "place {place} of {of}");
        assert_eq!(self.places[place].get(), 0, "two CPUs have place {place}");
        self.places[place].set(of as u64);
        cpu.copied.set(self.plan.get());
    }

    fn begin_generation(&self, generation: u64) -> Result<Start, &'static str> {
        let places = self.places.iter().map(Plain::get);
        let of = self.places[0].get();
        assert_eq!(
            places.filter(|&place| place == of && of > 0).count() as u64,
            of,
            "not all of the next kernel was copied"
        );
        self.alive.store(generation + 1, Release);
        Ok(Start {
            entry: ENTRY,
            context: generation,
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
