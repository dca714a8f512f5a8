// SPDX-License-Identifier: Apache-2.0
//! What the protocols between CPUs need of the machine; a model of it takes its place in
//! `tests/races`.

use crate::smp::power::{Power, Start};
use crate::smp::rendezvous::{Participant, Rendezvous};
use arm_psci::ErrorCode;
use core::fmt::Display;

/// A point of a takeover whose time is in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// The old kernel has lost its memory, and all CPUs have been kicked.
    Kicked,
    /// All CPUs are in the monitor.
    Gathered,
    /// The request was found valid.
    Checked,
    /// All CPUs have finished phase 1.
    Phase1,
    /// The boot CPU has finished phase 2.
    Phase2,
    /// All CPUs have finished phase 3.
    Phase3,
}

/// The machine, as far as CPU_ON, CPU_OFF and takeovers need it.
pub trait Platform {
    /// One CPU of the machine.
    type Cpu: Participant + HasPower;
    /// Why a request is refused.
    type Refusal;
    /// Why the next kernel cannot be entered.
    type Failure: Display;

    /// Returns what the CPUs share.
    fn rendezvous(&self) -> &Rendezvous;

    /// Returns all CPUs, in the order of the device tree.
    fn cpus(&self) -> &[Self::Cpu];

    /// Polls `done` until it returns true, for `us` microseconds at most. Returns what it returned
    /// last.
    fn wait_us(&self, us: u64, done: impl FnMut() -> bool) -> bool;

    /// Returns how long the CPUs may take to come before those that have not are given up, in
    /// microseconds.
    fn arrival_timeout_us(&self) -> u64;

    /// Records when the takeover reached `milestone`.
    fn mark_reached(&self, milestone: Milestone);

    /// Takes all memory from the guest (stage 2), and kicks all CPUs: each of them exits, and calls
    /// [`super::phases::join`].
    fn end_generation(&self);

    /// Kicks `cpu` again, past what the guest did to the interrupts of its redistributor, if it is
    /// still `awaited`.
    fn kick_from_outside(&self, cpu: &Self::Cpu, awaited: impl FnOnce() -> bool);

    /// Records when `cpu`, which calls this, has arrived, if the takeover waits for it.
    fn mark_arrived(&self, cpu: &Self::Cpu);

    /// Prepares round `round` of the check of the request, on the boot CPU after all CPUs have finished
    /// the one before. Returns false if there is nothing left to check.
    ///
    /// # Errors
    ///
    /// Returns why the request is refused; nothing is left of it.
    fn begin_round(&self, round: u8) -> Result<bool, Self::Refusal>;

    /// Checks the part of the calling CPU, `cpu`, in the round that was prepared.
    fn check(&self, cpu: &Self::Cpu);

    /// Gives the generation that has ended its memory back, as `generation`, and puts back what
    /// [`Self::kick_from_outside`] has changed.
    fn resume_generation(&self, generation: u64);

    /// Records that the request of the boot CPU, `cpu`, is accepted, and that `missing` CPUs were given
    /// up, which may still run in the generation that has ended: its empty stage 2 is kept for them.
    fn accept(&self, cpu: &Self::Cpu, missing: usize);

    /// Records that one of the CPUs left behind in `generation` does not run in it any more, or
    /// never has.
    fn mark_recovered(&self, generation: u64);

    /// Walks the steps of phase 1 on the calling CPU, `cpu`; `late` if it was given up before.
    fn teardown_private(&self, cpu: &Self::Cpu, late: bool);

    /// Returns how long the CPUs may take to finish phase 1, in microseconds: longer than all bounds of
    /// its steps.
    fn teardown_timeout_us(&self) -> u64;

    /// Walks the steps of phase 2 on the boot CPU, `cpu`.
    fn teardown_shared(&self, cpu: &Self::Cpu);

    /// Walks the steps of phase 3 on the calling CPU, `cpu`.
    fn load(&self, cpu: &Self::Cpu);

    /// Gives the guest its memory back as `generation`, and returns where its kernel begins.
    ///
    /// # Errors
    ///
    /// Returns why the next kernel cannot be entered.
    fn begin_generation(&self, generation: u64) -> Result<Start, Self::Failure>;

    /// Has firmware start `cpu`, which then calls [`crate::smp::on_off::park`].
    ///
    /// # Errors
    ///
    /// Returns the error of firmware's CPU_ON.
    fn firmware_on(&self, cpu: &Self::Cpu) -> Result<(), ErrorCode>;

    /// Returns whether firmware has `cpu` on (DEN0022, AFFINITY_INFO), which has left for it or was never
    /// started. False too where firmware cannot say.
    fn firmware_has_on(&self, cpu: &Self::Cpu) -> bool;

    /// Returns what says whether `cpu`, which is parked from now on, is to leave through firmware; `None` if it
    /// never is.
    fn patience(&self, cpu: &Self::Cpu) -> Option<impl Fn() -> bool>;

    /// Waits for an event, which comes by itself after a while.
    fn rest(&self);

    /// Has firmware turn the calling CPU off. On the machine it returns only a refusal; a model
    /// returns when the CPU was started again.
    ///
    /// # Errors
    ///
    /// Returns the error of firmware's CPU_OFF.
    fn firmware_off(&self, cpu: &Self::Cpu) -> Result<(), ErrorCode>;

    /// Walks the steps of phase 1 on the calling CPU, `cpu`, as its kernel turns it off; its shared
    /// interrupts go to `heir`.
    fn teardown_at_off(&self, cpu: &Self::Cpu, heir: Option<&Self::Cpu>);
}

/// A CPU with a power state.
pub trait HasPower {
    /// Returns its power state.
    fn power(&self) -> &Power;
}
