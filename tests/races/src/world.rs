// SPDX-License-Identifier: Apache-2.0
//! The machine that the monitor's CPUs meet on: guests, firmware and platform, as far as they matter
//! to who does what before whom.

use arm_psci::ErrorCode;
use baton_core::smp::on_off;
use baton_core::smp::phases::{self, Failure};
use baton_core::smp::platform::{HasPower, Milestone, Platform};
use baton_core::smp::power::{Order, Origin, Power, Start};
use baton_core::smp::rendezvous::{Member, Participant, Rendezvous};
use baton_core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use baton_core::sync::atomic::{AtomicBool, AtomicU64};
use baton_core::sync::{pause, sev, wfe};

/// What a guest has its CPU do, one exit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// CPU_ON of the CPU with this index.
    On(usize),
    /// CPU_OFF. Nothing comes after it.
    Off,
    /// kexec. Nothing of this kernel comes after it.
    Kexec,
    /// The part of SYSTEM_SUSPEND in which this CPU is sent back to firmware.
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

/// What is not as usual.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    /// CPU_ON calls that are on their way when a takeover begins are not waited for.
    pub hasty: bool,
    /// CPUs that have not come when the boot CPU looks are given up.
    pub impatient: bool,
    /// Firmware refuses CPU_ON.
    pub refuses: bool,
    /// How many kexecs there are, one after another.
    pub kexecs: u64,
}

/// How long a CPU may take to come: the waits are told apart by it.
const PATIENCE_US: u64 = 2;
/// How long CPU_ON calls on their way are waited for.
const CPU_ON_US: u64 = 1_000_000;
/// Beside the generation that has memory.
const OVER: u64 = 1 << 63;
/// Where the next kernel, and every CPU that is turned on, begins.
const ENTRY: u64 = 0x4000_0000;

/// One CPU.
pub struct Core {
    index: usize,
    power: Power,
    member: Member,
    /// What the guest left in it: 1, until phase 1.
    state: Plain,
    /// Its part of the next kernel, by the generation in which it was copied.
    copied: Plain,
    /// Firmware has it running.
    running: AtomicBool,
    /// It will not come any more: the test is over.
    done: AtomicBool,
}

/// All CPUs, and what they share.
pub struct World {
    cores: Vec<Core>,
    rendezvous: Rendezvous,
    options: Conditions,
    /// The generation that has memory, and one more; 0 if none has. With [`OVER`]: no guest goes on.
    alive: AtomicU64,
    /// CPUs that are left behind without memory in each generation.
    behind: [AtomicU64; 3],
    /// What is to be copied, by the generation it is for: written by whoever may prepare.
    plan: Plain,
    /// How many copy, by their places.
    places: Vec<Plain>,
}

impl Participant for Core {
    fn index(&self) -> usize {
        self.index
    }

    fn member(&self) -> &Member {
        &self.member
    }
}

impl HasPower for Core {
    fn power(&self) -> &Power {
        &self.power
    }
}

impl Platform for World {
    type Cpu = Core;
    type Failure = &'static str;

    fn rendezvous(&self) -> &Rendezvous {
        &self.rendezvous
    }

    fn cpus(&self) -> &[Core] {
        &self.cores
    }

    /// Time passes as it likes: a bound that may end is over at the first look, before which anybody
    /// may have done anything.
    fn wait_us(&self, us: u64, mut done: impl FnMut() -> bool) -> bool {
        let may_end = match us {
            CPU_ON_US => self.options.hasty,
            // Phase 1 itself is bounded by the bounds of its steps, and phase 3 ends in a reset.
            _ => us == PATIENCE_US / 2 && self.options.impatient,
        };
        loop {
            if done() {
                return true;
            }
            if may_end {
                return false;
            }
            pause();
        }
    }

    fn patience_us(&self) -> u64 {
        PATIENCE_US
    }

    fn reached(&self, _: Milestone) {}

    fn end_generation(&self) {
        self.alive.store(0, Release);
        sev();
    }

    fn kick_from_outside(&self, _: &Core, _: impl FnOnce() -> bool) {}

    fn leave_behind(&self, missing: usize) {
        let over = self.rendezvous.generation() - 1;
        self.behind[over as usize].store(missing as u64, Relaxed);
    }

    fn came_from(&self, generation: u64) {
        let more = |behind: u64| behind.checked_sub(1);
        let behind = self.behind[generation as usize].fetch_update(AcqRel, Relaxed, more);
        assert!(behind.is_ok(), "a CPU came that was not left behind");
    }

    fn own(&self, cpu: &Core, _: bool) {
        cpu.state.set(0);
    }

    fn sync(&self, _: &Core, _: usize) {
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
        if self.options.refuses {
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

    fn clear_at_off(&self, cpu: &Core, _: Option<&Core>) {
        cpu.state.set(0);
    }
}

impl World {
    /// Returns the machine with its CPUs `at` their places; the first one is in the guest.
    pub fn new(options: Conditions, at: &[At]) -> Self {
        let cores: Vec<Core> = (0..at.len()).map(Core::new).collect();
        let world = Self {
            places: cores.iter().map(|_| Plain::new(0)).collect(),
            cores,
            rendezvous: Rendezvous::new(),
            options,
            alive: AtomicU64::new(1),
            behind: core::array::from_fn(|_| AtomicU64::new(0)),
            plan: Plain::new(0),
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

    /// CPU `caller` calls CPU_ON of `target`, once.
    pub fn turn_on(&self, caller: usize, target: usize) {
        let (caller, target) = (&self.cores[caller], &self.cores[target]);
        let start = Start {
            entry: ENTRY,
            context: caller.member.generation(),
        };
        let _ = on_off::on(self, caller, target, start);
    }

    /// CPU `boot` takes over, in a hurry and without `held`, which is in a call: what that meets of it,
    /// and no more. CPU `parked` comes, and is parked again.
    pub fn take_over_without(&self, boot: usize, held: usize, parked: usize) {
        let [boot, held, parked] = [boot, held, parked].map(|index| &self.cores[index]);
        let preparation = self.rendezvous.prepare(&boot.member);
        let closed = preparation.expect("nobody else asks").close();
        let generation = self.rendezvous.begin(&closed);
        for core in [boot, parked] {
            assert!(
                self.rendezvous.come(core, generation),
                "CPU {} is late",
                core.index
            );
            core.member.live_in(generation);
        }
        parked.power.park();
        self.rendezvous.give_up(held, generation);
        held.power.mark_lost();
        self.rendezvous.forget(held);
        self.rendezvous.end(closed);
    }

    /// CPU `index` is parked, nobody is in a call any more, and its kernel turns it on.
    pub fn begin(&self, index: usize) {
        let core = &self.cores[index];
        let start = Start {
            entry: ENTRY,
            context: core.member.generation(),
        };
        assert_eq!(core.power.turn_on(start, || true), Ok(Origin::Parked));
        assert_eq!(core.power.order(), Order::Begin(start));
    }

    /// The life of CPU `index`, which is `at` its place.
    pub fn run(&self, index: usize, at: At) {
        let core = &self.cores[index];
        let acts = match at {
            At::Guest(acts) => acts,
            At::Firmware => {
                if !self.wait_in_firmware(core) {
                    return;
                }
                self.parked(core);
                &[]
            }
            At::Parked => {
                self.parked(core);
                &[]
            }
        };
        self.in_guest(core, acts);
        core.done.store(true, Release);
    }

    /// All CPUs have done what they had to: nothing waits for one that was left behind.
    ///
    /// Panics if something does.
    pub fn check_end(&self) {
        for (generation, behind) in self.behind.iter().enumerate() {
            let behind = behind.load(Relaxed);
            assert_eq!(behind, 0, "CPUs left behind in generation {generation}");
        }
    }

    /// The guest is over: whoever is off is turned on, which shows that nobody was lost.
    ///
    /// To be called on CPU `index`, in the guest.
    fn finish(&self, cpu: &Core) {
        self.alive
            .store((cpu.member.generation() + 1) | OVER, Release);
        sev();
        for core in self.cores.iter().filter(|core| core.index != cpu.index) {
            while !core.done.load(Acquire) {
                let start = Start {
                    entry: ENTRY,
                    context: cpu.member.generation(),
                };
                match on_off::on(self, cpu, core, start) {
                    Ok(()) => break,
                    Err(ErrorCode::AlreadyOn | ErrorCode::OnPending) => {}
                    Err(error) => assert!(self.options.refuses, "CPU {}: {error}", core.index),
                }
                if self.options.refuses && !core.running.load(Acquire) {
                    // It never comes: firmware has it.
                    break;
                }
                pause();
            }
        }
    }

    /// Returns true once `core` is started, false if it never will be.
    fn wait_in_firmware(&self, core: &Core) -> bool {
        while !core.running.load(Acquire) {
            if self.options.refuses && self.alive.load(Acquire) & OVER != 0 {
                return false;
            }
            wfe();
        }
        true
    }

    /// `core` is in the guest, which has it do `acts`.
    fn in_guest(&self, core: &Core, acts: &[Act]) {
        let mut acts = acts;
        core.state.set(1);
        loop {
            // Every exit begins so (`exit_from_guest`).
            if self.rendezvous.is_over(&core.member) {
                phases::join(self, core);
                self.parked(core);
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
                    self.parked(core);
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

    /// The guest has nothing for this CPU to do. Returns true if the guest is over, false if it has
    /// no memory any more.
    fn rest(&self, core: &Core) -> bool {
        loop {
            let alive = self.alive.load(Acquire);
            if alive & !OVER != core.member.generation() + 1 {
                return false;
            }
            if alive & OVER != 0 {
                return true;
            }
            if core.index == 0 && self.options.kexecs == 0 {
                self.finish(core);
                return true;
            }
            wfe();
        }
    }

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
        self.begins(core, start);
        core.state.set(1);
        match core.member.generation() == self.options.kexecs {
            true => self.finish(core),
            false => self.kexec(core),
        }
    }

    /// `core` waits to be turned on, and begins in the guest (`cpu::enter`).
    fn parked(&self, core: &Core) {
        let start = on_off::park(self, core);
        self.begins(core, start);
    }

    fn begins(&self, core: &Core, start: Start) {
        assert_eq!(start.entry, ENTRY);
        // One whose generation is over traps at its first instruction.
        assert_eq!(
            start.context,
            core.member.generation(),
            "CPU {} begins in another kernel than that which turned it on",
            core.index
        );
    }
}

impl Core {
    fn new(index: usize) -> Self {
        Self {
            index,
            power: Power::new(),
            member: Member::new(),
            state: Plain::new(0),
            copied: Plain::new(0),
            running: AtomicBool::new(false),
            done: AtomicBool::new(false),
        }
    }
}

#[cfg(feature = "loom")]
type Cell = loom::cell::UnsafeCell<u64>;

/// Memory that is written by one CPU and read by another one, with no atomic of its own to help: the
/// model finds every access that could meet another one.
#[cfg(feature = "loom")]
pub struct Plain(Cell);

#[cfg(feature = "loom")]
// SAFETY: The model finds every access that could meet another one.
unsafe impl Sync for Plain {}

#[cfg(feature = "loom")]
impl Plain {
    /// Returns memory with `value` in it.
    pub fn new(value: u64) -> Self {
        Self(Cell::new(value))
    }

    /// Writes it.
    pub fn set(&self, value: u64) {
        // SAFETY: The model sees to it that nobody else accesses it.
        self.0.with_mut(|to| unsafe { *to = value });
    }

    /// Reads it.
    pub fn get(&self) -> u64 {
        // SAFETY: As in `set`.
        self.0.with(|from| unsafe { *from })
    }
}

/// Memory that is written by one CPU and read by another one. Shuttle knows of no order of memory:
/// only what is read can be wrong.
#[cfg(not(feature = "loom"))]
pub struct Plain(std::sync::atomic::AtomicU64);

#[cfg(not(feature = "loom"))]
impl Plain {
    /// Returns memory with `value` in it.
    pub fn new(value: u64) -> Self {
        Self(value.into())
    }

    /// Writes it.
    pub fn set(&self, value: u64) {
        pause();
        self.0.store(value, Relaxed);
    }

    /// Reads it.
    pub fn get(&self) -> u64 {
        pause();
        self.0.load(Relaxed)
    }
}
