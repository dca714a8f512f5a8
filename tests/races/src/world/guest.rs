// SPDX-License-Identifier: Apache-2.0
//! What guests do: the life of each CPU, from one exit to the next.

use super::{Act, At, Core, ENTRY, Mistake, OVER, World};
use arm_psci::ErrorCode;
use baton_core::smp::on_off::{self, NotOn};
use baton_core::smp::phases::{self, End, Joined};
use baton_core::smp::power::Start;
use baton_core::smp::stage::Stage;
use baton_core::sync::atomic::Ordering::{Acquire, Release};
use baton_core::sync::{pause, sev, wfe};

impl World {
    /// Runs CPU `index`, which is `at` its place, to the end of the test.
    pub fn run(&self, index: usize, at: At) {
        let core = &self.cores[index];
        let acts = match at {
            At::Guest(acts) => acts,
            At::Firmware => {
                if !self.wait_in_firmware(core) {
                    return;
                }
                self.wait_parked(core);
                &[]
            }
            At::Parked => {
                self.wait_parked(core);
                &[]
            }
        };
        self.run_guest(core, acts);
        core.done.store(true, Release);
    }

    /// Has the guest do `acts` on `core`, and rest.
    fn run_guest(&self, core: &Core, acts: &[Act]) {
        let mut acts = acts;
        core.state.set(1);
        loop {
            // Every exit begins so (`exit_from_guest`).
            if self.rendezvous.is_over(&core.member) {
                let generation = self.rendezvous.generation();
                if self.conditions.mistake == Some(Mistake::ClearsAtOnce)
                    && core.member.arrival().is_missing(generation)
                {
                    core.state.set(0);
                }
                match phases::join(self, core) {
                    Joined::Parked => {
                        self.wait_parked(core);
                        acts = &[];
                        core.state.set(1);
                    }
                    Joined::Resumed => self.check_resumed(core),
                }
                continue;
            }
            let Some((act, rest)) = acts.split_first() else {
                if self.rest(core) {
                    return;
                }
                continue;
            };
            let done = match *act {
                Act::On(target) => self.turn_on(core.index, target) != Err(NotOn::TakenOver),
                Act::OnOnce(target) => {
                    let seen = self.turn_on(core.index, target);
                    assert_eq!(seen, Ok(()), "CPU_ON of CPU {target}, which is off");
                    true
                }
                Act::Off => {
                    on_off::off(self, core);
                    self.wait_parked(core);
                    core.state.set(1);
                    true
                }
                Act::SendBack(target) => {
                    if let Some(_pass) = self.rendezvous.pass()
                        && self.cores[target].power.tell_to_leave()
                    {
                        sev();
                    }
                    true
                }
                Act::Kexec => self.kexec(core),
            };
            // A call that finds a takeover under way is made again, if its kernel goes on.
            match done {
                true => acts = rest,
                false => pause(),
            }
        }
    }

    /// Waits in a guest that has nothing for `core` to do. Returns true when the test ends, false
    /// when the guest has no memory any more.
    fn rest(&self, core: &Core) -> bool {
        loop {
            let alive = self.alive.load(Acquire);
            if alive & !OVER != core.member.generation() + 1 {
                return false;
            }
            if alive & OVER != 0 {
                return true;
            }
            if core.index == 0 && self.conditions.kexecs == 0 {
                self.finish(core);
                return true;
            }
            wfe();
        }
    }

    /// Asks for the next kernel on `core`, and again from there until all kexecs are done. Returns false
    /// if another CPU has asked first.
    fn kexec(&self, core: &Core) -> bool {
        let Some(preparation) = self.rendezvous.prepare(&core.member) else {
            return false;
        };
        // One that was asked again after a refusal may be one too many.
        if self.conditions.refused > 0 && self.rendezvous.generation() == self.conditions.kexecs {
            return true;
        }
        match phases::take_over(self, core, preparation.close()) {
            Ok(End::Next(start)) => {
                self.check_start(core, start);
                core.state.set(1);
            }
            Ok(End::Refused(())) => {
                if self.conditions.mistake == Some(Mistake::MemoryLast) {
                    self.give_memory_back(core.member.generation());
                }
                self.check_resumed(core);
            }
            Err(failure) => panic!("{failure}"),
        }
        match core.member.generation() == self.conditions.kexecs {
            true => {
                self.finish(core);
                true
            }
            false => self.kexec(core),
        }
    }

    /// Checks that the guest on `core` goes on as it was, with its memory.
    fn check_resumed(&self, core: &Core) {
        assert_eq!(core.state.get(), 1, "registers of CPU {}", core.index);
        if self.conditions.mistake == Some(Mistake::LeavesTwice) && core.index != 0 {
            let generation = core.member.generation();
            self.rendezvous.finish(core, generation, Stage::Check(0));
        }
        // One that can be given up may have lost its memory again.
        if !self.conditions.impatient {
            let (memory, generation) = (self.memory.get(), core.member.generation());
            assert_eq!(memory, generation, "memory of CPU {}", core.index);
        }
    }

    /// Parks `core` until it is turned on, and begins in the guest (`exit::run`).
    fn wait_parked(&self, core: &Core) {
        self.check_start(core, on_off::park(self, core));
    }

    /// Ends the test, on `cpu` in the guest: turns on every CPU that is off, which shows that none
    /// was lost.
    fn finish(&self, cpu: &Core) {
        self.alive
            .store((cpu.member.generation() + 1) | OVER, Release);
        sev();
        for core in self.cores.iter().filter(|core| core.index != cpu.index) {
            while !core.done.load(Acquire) {
                match on_off::on(self, cpu, core, self.start(cpu)) {
                    Ok(()) => break,
                    Err(NotOn::Refused(ErrorCode::AlreadyOn | ErrorCode::OnPending)) => {}
                    Err(why) => assert!(self.conditions.refuses, "CPU {}: {why:?}", core.index),
                }
                if self.conditions.refuses && !core.running.load(Acquire) {
                    // It never comes: firmware has it.
                    break;
                }
                pause();
            }
        }
    }
}

impl World {
    /// Returns where the kernel of `core` has CPUs begin; `context` says which kernel that is.
    pub(super) fn start(&self, core: &Core) -> Start {
        Start {
            entry: ENTRY,
            context: self.kernel_of(core.member.generation()),
        }
    }

    /// Returns the number of the kernel that lives in `generation`: that of a refused request lives on.
    pub(super) fn kernel_of(&self, generation: u64) -> u64 {
        generation.saturating_sub(self.conditions.refused)
    }

    /// Checks that `core` begins in the kernel that turned it on. If that is over by now, the CPU exits
    /// at its first instruction.
    fn check_start(&self, core: &Core, start: Start) {
        assert_eq!(start.entry, ENTRY);
        assert_eq!(
            start.context,
            self.kernel_of(core.member.generation()),
            "CPU {} begins in another kernel than that which turned it on",
            core.index
        );
    }
}
