// SPDX-License-Identifier: Apache-2.0
//! What the phases are carried out on: the machine, or a model of it.

use crate::smp::power::{Power, Start};
use crate::smp::rendezvous::{Participant, Rendezvous};
use arm_psci::ErrorCode;
use core::fmt::Display;

/// A point of a takeover that the report has the time of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// The generation had ended, and all CPUs were kicked.
    Kicked,
    /// All CPUs had finished phase 1.
    Phase1,
    /// The boot CPU had finished phase 2.
    Phase2,
    /// All CPUs had finished phase 3.
    Phase3,
}

/// What the protocols between CPUs need of the machine, beside what the CPUs share.
pub trait Platform {
    /// A CPU.
    type Cpu: Participant + HasPower;
    /// Why the next kernel cannot be entered.
    type Failure: Display;

    /// Returns what CPUs share.
    fn rendezvous(&self) -> &Rendezvous;

    /// Returns all CPUs.
    fn cpus(&self) -> &[Self::Cpu];

    /// Polls `done` until it returns true, for `us` microseconds at most, and returns what it
    /// returned last.
    fn wait_us(&self, us: u64, done: impl FnMut() -> bool) -> bool;

    /// How long a CPU may take to come, in microseconds.
    fn patience_us(&self) -> u64;

    /// Records when the takeover reached `milestone`.
    fn reached(&self, milestone: Milestone);

    /// Takes the generation's memory from it, and wakes all CPUs: each comes to
    /// [`super::phases::join`].
    fn end_generation(&self);

    /// Makes `cpu` come, whatever the guest did to its interrupts, unless it is not `awaited`.
    fn kick_from_outside(&self, cpu: &Self::Cpu, awaited: impl FnOnce() -> bool);

    /// `missing` CPUs stay behind in the generation that has ended.
    fn leave_behind(&self, missing: usize);

    /// A CPU came that was left behind in the generation `generation`.
    fn came_from(&self, generation: u64);

    /// Takes the steps of phase 1, on `cpu`. It comes in time, or late.
    fn own(&self, cpu: &Self::Cpu, late: bool);

    /// Takes the steps of phase 2, on the boot CPU, when `missing` CPUs were given up.
    fn sync(&self, cpu: &Self::Cpu, missing: usize);

    /// Takes the steps of phase 3, on `cpu`.
    fn load(&self, cpu: &Self::Cpu);

    /// Begins the generation `generation`, and returns where its kernel does.
    ///
    /// # Errors
    ///
    /// Why there is no next kernel.
    fn begin_generation(&self, generation: u64) -> Result<Start, Self::Failure>;

    /// Has firmware start `cpu`, which comes to [`crate::smp::on_off::park`].
    ///
    /// # Errors
    ///
    /// What firmware says.
    fn firmware_on(&self, cpu: &Self::Cpu) -> Result<(), ErrorCode>;

    /// Has firmware turn the calling CPU off. On the machine it returns only a refusal; a model
    /// returns when the CPU was started again.
    ///
    /// # Errors
    ///
    /// What firmware says.
    fn firmware_off(&self, cpu: &Self::Cpu) -> Result<(), ErrorCode>;

    /// Clears what is `cpu`'s own as its kernel turns it off; its interrupts go to `stays`.
    fn clear_at_off(&self, cpu: &Self::Cpu, stays: Option<&Self::Cpu>);
}

/// A CPU with a power state.
pub trait HasPower {
    /// Its power state towards the guest.
    fn power(&self) -> &Power;
}
