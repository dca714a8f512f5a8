// SPDX-License-Identifier: Apache-2.0
//! What guests do: the life of each CPU, from one exit to the next.

use super::{Act, At, Core, ENTRY, OVER, World};
use arm_psci::ErrorCode;
use baton_core::smp::on_off;
use baton_core::smp::phases::{self, Failure};
use baton_core::smp::power::Start;
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
                phases::join(self, core);
                self.wait_parked(core);
                acts = &[];
                core.state.set(1);
            }
            let Some((act, rest)) = acts.split_first() else {
                if self.rest(core) {
                    return;
                }
                continue;
            };
            acts = rest;
            match *act {
                Act::On(target) => self.turn_on(core.index, target),
                Act::Off => {
                    on_off::off(self, core);
                    self.wait_parked(core);
                    core.state.set(1);
                }
                Act::SendBack(target) => {
                    if let Some(_pass) = self.rendezvous.pass()
                        && self.cores[target].power.tell_to_leave()
                    {
                        sev();
                    }
                }
                Act::Kexec => self.kexec(core),
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

    /// Asks for the next kernel on `core`, and again from there until all kexecs are done.
    fn kexec(&self, core: &Core) {
        let Some(preparation) = self.rendezvous.prepare(&core.member) else {
            return;
        };
        self.plan.set(0);
        let start = match phases::take_over(self, core, preparation.close()) {
            Ok(start) => start,
            Err(Failure::NotLoaded) => panic!("not loaded"),
            Err(Failure::NoNextKernel(error)) => panic!("{error}"),
        };
        core.check_start(start);
        core.state.set(1);
        match core.member.generation() == self.conditions.kexecs {
            true => self.finish(core),
            false => self.kexec(core),
        }
    }

    /// Parks `core` until it is turned on, and begins in the guest (`exit::run`).
    fn wait_parked(&self, core: &Core) {
        core.check_start(on_off::park(self, core));
    }

    /// Ends the test, on `cpu` in the guest: turns on every CPU that is off, which shows that none
    /// was lost.
    fn finish(&self, cpu: &Core) {
        self.alive
            .store((cpu.member.generation() + 1) | OVER, Release);
        sev();
        for core in self.cores.iter().filter(|core| core.index != cpu.index) {
            while !core.done.load(Acquire) {
                match on_off::on(self, cpu, core, cpu.start()) {
                    Ok(()) => break,
                    Err(ErrorCode::AlreadyOn | ErrorCode::OnPending) => {}
                    Err(error) => assert!(self.conditions.refuses, "CPU {}: {error}", core.index),
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

impl Core {
    /// Returns where this CPU's kernel has CPUs begin; `context` says which kernel that is.
    pub(super) fn start(&self) -> Start {
        Start {
            entry: ENTRY,
            context: self.member.generation(),
        }
    }

    /// Checks that this CPU begins in the kernel that turned it on. If that is over by now, the CPU
    /// exits at its first instruction.
    fn check_start(&self, start: Start) {
        assert_eq!(start.entry, ENTRY);
        assert_eq!(
            start.context,
            self.member.generation(),
            "CPU {} begins in another kernel than that which turned it on",
            self.index
        );
    }
}
