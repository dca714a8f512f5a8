// SPDX-License-Identifier: Apache-2.0
//! A CPU of the machine, as the monitor knows it.

use super::caught::Caught;
use super::counters::{Attempt, Exits, Times};
use crate::memory::stage1::MmuConfig;
use crate::vcpu::features::Features;
use crate::vcpu::frame::Frame;
use baton_core::el3_features::El3Features;
use baton_core::hw_error::HwError;
use baton_core::memory::layout::{GUARD, STACK};
use baton_core::os_lock::OsLocks;
use baton_core::smp::platform::HasPower;
use baton_core::smp::power::Power;
use baton_core::smp::rendezvous::{Member, Participant};
use baton_core::sync::{Lock, Relax};
use baton_sysreg::{read_sysreg, write_sysreg};
use core::ops::Range;
use core::ptr::null_mut;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicPtr};
use spin::once::Once;

/// One CPU. `head.S` reads the first two fields, the first with the MMU off; they never change.
#[repr(C, align(128))]
pub struct Cpu {
    /// What turns its MMU on.
    pub mmu: MmuConfig,
    /// The address behind its stack.
    pub stack_top: u64,
    /// Its place in the device tree, counted from 0.
    pub index: usize,
    /// The affinity fields of its MPIDR_EL1.
    pub mpidr: u64,
    /// It waited in a spin table: firmware does not know it.
    pub in_spin_table: bool,
    /// The features whose registers are left alone on it.
    pub closed: Once<El3Features, Relax>,
    /// Its features that are not closed, once they were asked for.
    pub features: Once<Features, Relax>,
    /// Its power state towards the guest.
    pub power: Power,
    /// Its part in takeovers.
    pub member: Member,
    /// The locks of its debug registers, as its guest has them.
    pub os_locks: OsLocks,
    /// The crash interrupt has come to it, and is seen to when it leaves for the guest. Set by `vectors.S`.
    pub crash_asked: AtomicBool,
    /// It has panicked: the machine is about to be reset.
    pub panicked: AtomicBool,
    /// It sleeps in the monitor in its guest's place, and a kick must open its redistributor first.
    pub listens: AtomicBool,
    /// Its guest's registers while it waits in a takeover, in its own stack; null if it came without any.
    pub joining: AtomicPtr<Frame>,
    /// Its registers where a crash has stopped it.
    pub caught: Caught,
    /// Those with which it has called CPU_SUSPEND last, to lose power: it comes back without any.
    pub asleep: Caught,
    /// What it did in the takeover that is under way, before that is certain.
    pub attempt: Attempt,
    /// When it did what in the last takeover.
    pub times: Times,
    /// Its exits from the guest.
    pub exits: Exits,
    /// The steps that failed in the last takeover, and the first of them.
    pub failed: Lock<Failed>,
}

/// What went wrong on a CPU in the last takeover.
#[derive(Clone, Copy, Debug, Default)]
pub struct Failed {
    /// How many steps failed.
    pub count: u64,
    /// The first of them.
    pub first: Option<(&'static str, HwError)>,
}

impl Cpu {
    /// Returns a CPU that was not started yet. `stack_top` is the address behind its stack.
    pub fn new(index: usize, mpidr: u64, mmu: MmuConfig, stack_top: u64) -> Self {
        Self {
            mmu,
            stack_top,
            index,
            mpidr,
            in_spin_table: false,
            closed: Once::new(),
            features: Once::new(),
            power: Power::new(),
            member: Member::new(),
            os_locks: OsLocks::new(),
            crash_asked: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            listens: AtomicBool::new(false),
            joining: AtomicPtr::new(null_mut()),
            caught: Caught::new(),
            asleep: Caught::new(),
            attempt: Attempt::default(),
            times: Times::new(),
            exits: Exits::new(),
            failed: Lock::new(Failed {
                count: 0,
                first: None,
            }),
        }
    }

    /// Returns the CPU that runs this, or `None` before it was told which it is.
    pub fn current() -> Option<&'static Self> {
        // SAFETY: TPIDR_EL2 is 0, or the address of a CPU of the machine, which lives for ever.
        unsafe { (read_sysreg!(TPIDR_EL2) as *const Self).as_ref() }
    }

    /// Makes this the CPU that runs this.
    pub fn make_current(&'static self) {
        // SAFETY: TPIDR_EL2 is the monitor's own, and `self` lives for ever.
        unsafe { write_sysreg!(TPIDR_EL2, &raw const *self as u64) }
    }

    /// Leaves the registers of features alone from now on: those that `closed` returns, the first time
    /// that this is called.
    pub fn close(&self, closed: impl FnOnce() -> El3Features) -> El3Features {
        *self.closed.call_once(closed)
    }

    /// Returns the features of the CPU that runs this, `self`, that are not closed. To be called after
    /// [`Cpu::close`]; they are read once.
    pub fn features(&self) -> &Features {
        self.features.call_once(|| {
            let closed = self.closed.get().copied().unwrap_or_default();
            Features::of_this_cpu().without(closed)
        })
    }

    /// Has the CPU that runs this, `self`, join a takeover by `join`, from where its guest is at `frame`.
    pub fn join_from<T>(&self, frame: &mut Frame, join: impl FnOnce() -> T) -> T {
        self.joining.store(frame, Relaxed);
        let result = join();
        self.joining.store(null_mut(), Relaxed);
        result
    }

    /// Keeps the registers of the CPU that runs this, `self`, if it joins a takeover from its guest, or from where that
    /// has let it lose power.
    pub fn keep_registers(&self) {
        let generation = self.member.generation();
        // SAFETY: It is null, or points to what `join_from` has borrowed, on this CPU, up to its end.
        match unsafe { self.joining.load(Relaxed).as_ref() } {
            Some(frame) => self.caught.keep(frame, generation),
            None if self.power.is_suspended() => {
                self.caught.keep_those_of(&self.asleep, generation)
            }
            None => {}
        }
    }

    /// Returns the addresses below the CPU's stack that are not mapped.
    pub fn guard(&self) -> Range<u64> {
        let end = self.stack_top - STACK;
        end - GUARD..end
    }
}

impl Participant for Cpu {
    fn index(&self) -> usize {
        self.index
    }

    fn member(&self) -> &Member {
        &self.member
    }
}

impl HasPower for Cpu {
    fn power(&self) -> &Power {
        &self.power
    }
}
