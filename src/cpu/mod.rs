//! A CPU of the machine, as the monitor knows it.

mod counters;
mod deaf;
mod enter;
mod park;

pub use counters::{Cause, Exits, Times};
pub use deaf::listening;
pub use enter::enter;
pub use park::{off, park};

use crate::arch::sysreg::AFFINITY;
use crate::boot::{GUARD, STACK};
use crate::memory::stage1::Regime;
use crate::psci::power::Power;
use crate::sync::Lock;
use crate::teardown::error::StepError;
use crate::teardown::rendezvous::Member;
use baton_sysreg::{read_sysreg, write_sysreg};
use core::mem::offset_of;
use core::ops::Range;
use core::sync::atomic::AtomicBool;

/// One CPU. `head.S` reads the first two fields, the first with the MMU off; they never change.
#[repr(C, align(128))]
pub struct Cpu {
    regime: Regime,
    stack_top: u64,
    /// Its place in the device tree, counted from 0.
    pub index: usize,
    /// The affinity fields of its MPIDR_EL1.
    pub mpidr: u64,
    /// Its power state towards the guest.
    pub power: Power,
    /// Its part in takeovers.
    pub member: Member,
    /// It has panicked: the machine is about to be reset.
    pub panicked: AtomicBool,
    /// It waits below its guest, which hears nothing, and a kick must open its redistributor first.
    pub listens: AtomicBool,
    /// What it did when in the last takeover.
    pub times: Times,
    /// Its exits from the guest.
    pub exits: Exits,
    /// The steps that failed in the last takeover, and the first of them.
    pub failed: Lock<Failed>,
}

// `head.S` and `vectors.S` have these numbers too.
const _: () = assert!(offset_of!(Cpu, regime) == 0 && offset_of!(Cpu, stack_top) == 32);

/// What went wrong on a CPU in the last takeover.
#[derive(Clone, Copy, Debug, Default)]
pub struct Failed {
    /// How many steps failed.
    pub count: u64,
    /// The first of them.
    pub first: Option<(&'static str, StepError)>,
}

impl Cpu {
    /// Returns a CPU that was not started yet. `stack_top` is the address behind its stack.
    pub fn new(index: usize, mpidr: u64, regime: Regime, stack_top: u64) -> Self {
        Self {
            regime,
            stack_top,
            index,
            mpidr,
            power: Power::new(),
            member: Member::new(),
            panicked: AtomicBool::new(false),
            listens: AtomicBool::new(false),
            times: Times::new(),
            exits: Exits::new(),
            failed: Lock::new(Failed {
                count: 0,
                first: None,
            }),
        }
    }

    /// Returns the CPU that runs this, or `None` before it was told which it is.
    pub fn try_current() -> Option<&'static Self> {
        // SAFETY: TPIDR_EL2 is 0, or the address of a CPU of the machine, which lives for ever.
        unsafe { (read_sysreg!(TPIDR_EL2) as *const Self).as_ref() }
    }

    /// Returns the CPU that runs this.
    ///
    /// Panics before [`Cpu::make_current`].
    pub fn current() -> &'static Self {
        Self::try_current().expect("TPIDR_EL2 is set before any guest runs")
    }

    /// Makes this the CPU that runs this.
    pub fn make_current(&'static self) {
        // SAFETY: TPIDR_EL2 is the monitor's own, and `self` lives for ever.
        unsafe { write_sysreg!(TPIDR_EL2, &raw const *self as u64) }
    }

    /// Returns the addresses below the CPU's stack that are not mapped.
    pub fn guard(&self) -> Range<u64> {
        let end = self.stack_top - STACK;
        end - GUARD..end
    }

    /// Returns the address behind the CPU's stack.
    pub fn stack_top(&self) -> u64 {
        self.stack_top
    }
}

/// Returns the affinity fields of MPIDR_EL1 of the CPU that runs this.
pub fn current_mpidr() -> u64 {
    // SAFETY: MPIDR_EL1 is an ID register.
    unsafe { read_sysreg!(MPIDR_EL1) & AFFINITY }
}
