// SPDX-License-Identifier: Apache-2.0
//! The machine that CPUs meet on: guests, firmware and platform, as far as they matter to the order
//! in which CPUs act.

mod cpu;
mod guest;
mod platform;

pub use cpu::Core;

use crate::plain::Plain;
use baton_core::smp::on_off::{self, NotOn};
use baton_core::smp::power::{Order, Origin};
use baton_core::smp::rendezvous::Rendezvous;
use baton_core::sync::atomic::AtomicU64;
use baton_core::sync::atomic::Ordering::Relaxed;

/// What a guest has its CPU do, one exit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// CPU_ON of the CPU with this index.
    On(usize),
    /// The same, of one that is off, by its only caller: it succeeds.
    OnOnce(usize),
    /// CPU_OFF. Nothing comes after it.
    Off,
    /// kexec. Nothing of this kernel comes after it.
    Kexec,
    /// The part of SYSTEM_SUSPEND in which the CPU with this index is sent back to firmware.
    SendBack(usize),
}

/// Where a CPU is at the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// In the guest, which has it do this.
    Guest(&'static [Act]),
    /// Parked in the monitor.
    Parked,
    /// Off, in firmware.
    Firmware,
}

/// A mistake in how a kernel goes on whose request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The kernel has its memory back only when its CPUs have left the monitor.
    MemoryLast,
    /// A CPU leaves the check twice.
    LeavesTwice,
    /// A CPU that was given up clears its state before it is clear whether its kernel goes on.
    ClearsAtOnce,
}

/// What is not as usual.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    /// The takeover does not wait for CPU_ON calls that are under way when it begins, as when that
    /// takes the monitor too long.
    pub hasty: bool,
    /// The boot CPU gives up CPUs that have not arrived when it first looks, as when their time is
    /// up.
    pub impatient: bool,
    /// Firmware refuses CPU_ON.
    pub refuses: bool,
    /// The patience of a CPU is over as soon as it is parked.
    pub restless: bool,
    /// CPU_ON does not wait for a CPU that leaves.
    pub rash: bool,
    /// How many kexecs there are, one after another, those that are refused too.
    pub kexecs: u64,
    /// How many of them, the first ones, are refused.
    pub refused: u64,
    /// What is done wrong, for the models to find.
    pub mistake: Option<Mistake>,
}

/// Flag of [`World::alive`]: no guest goes on.
const OVER: u64 = 1 << 63;
/// Where the next kernel, and every CPU that is turned on, begins.
const ENTRY: u64 = 0x4000_0000;

/// All CPUs, and what they share.
pub struct World {
    cores: Vec<Core>,
    rendezvous: Rendezvous,
    conditions: Conditions,
    /// One more than the generation whose guest has memory; 0 if none has. With [`OVER`], the test
    /// ends.
    alive: AtomicU64,
    /// How many CPUs are left behind, without memory, in each generation.
    behind: [AtomicU64; 3],
    /// The generation that has memory: what its guest finds there.
    memory: Plain,
    /// What is to be copied: the generation that it is for. Written by the boot CPU.
    plan: Plain,
    /// For each part of the plan, how many parts there were when it was checked, and then copied; 0
    /// before that.
    places: Vec<Plain>,
}

impl World {
    /// Returns the machine with its CPUs `at` their places; the first one is in the guest.
    pub fn new(conditions: Conditions, at: &[At]) -> Self {
        let cores: Vec<Core> = (0..at.len()).map(Core::new).collect();
        let world = Self {
            places: cores.iter().map(|_| Plain::default()).collect(),
            cores,
            rendezvous: Rendezvous::new(),
            conditions,
            alive: AtomicU64::new(1),
            behind: core::array::from_fn(|_| AtomicU64::new(0)),
            memory: Plain::default(),
            plan: Plain::default(),
        };
        for (core, at) in world.cores.iter().zip(at) {
            if *at != At::Firmware {
                world.rendezvous.expect_boot_cpu(core);
                core.running.store(true, Relaxed);
            }
            match at {
                At::Guest(_) => core.power.set_on(),
                At::Parked => core.power.park(),
                At::Firmware => {}
            }
        }
        world
    }

    /// Has CPU `caller` call CPU_ON of `target`.
    ///
    /// # Errors
    ///
    /// As [`on_off::on`].
    pub fn turn_on(&self, caller: usize, target: usize) -> Result<(), NotOn> {
        let (caller, target) = (&self.cores[caller], &self.cores[target]);
        on_off::on(self, caller, target, self.start(caller))
    }

    /// Has CPU `boot` take over in a hurry, and give up `held`, which is in a call; CPU `parked`
    /// arrives, and is parked again. Only what that call can meet is done.
    pub fn take_over_without(&self, boot: usize, held: usize, parked: usize) {
        let [boot, held, parked] = [boot, held, parked].map(|index| &self.cores[index]);
        let preparation = self.rendezvous.prepare(&boot.member);
        let closed = preparation.expect("nobody else asks").close();
        let generation = self.rendezvous.begin(&closed);
        for core in [boot, parked] {
            assert!(
                self.rendezvous.arrive(core, generation),
                "CPU {} is late",
                core.index
            );
            core.member.set_generation(generation);
        }
        parked.power.park();
        self.rendezvous.give_up(held, generation);
        held.power.mark_lost();
        self.rendezvous.forget(held);
        self.rendezvous.end(closed);
    }

    /// Turns on CPU `index`, which is parked, for its own kernel, and checks that it begins there.
    /// No CPU is in a call any more.
    pub fn begin(&self, index: usize) {
        let core = &self.cores[index];
        let start = self.start(core);
        assert_eq!(core.power.turn_on(start, |_| Ok(())), Ok(Origin::Parked));
        assert_eq!(core.power.take_order(), Order::Begin(start));
    }

    /// Checks, when all CPUs have left the test, that no generation has a CPU left behind: its
    /// memory would be kept for ever.
    ///
    /// Panics if one has.
    pub fn check_end(&self) {
        for (generation, behind) in self.behind.iter().enumerate() {
            let behind = behind.load(Relaxed);
            assert_eq!(behind, 0, "CPUs left behind in generation {generation}");
        }
    }
}
