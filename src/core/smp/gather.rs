// SPDX-License-Identifier: Apache-2.0
//! Stop first, look once: all CPUs gather in the monitor with nothing of theirs changed, check the
//! request together, and go on with the three phases, or back to where they were.

use crate::smp::gate::Closed;
use crate::smp::platform::{Milestone, Platform};
use crate::smp::stage::Stage;
use crate::sync::sev;
use thiserror::Error;

/// How long CPU_ON calls that are under way may take to end, in microseconds.
const CPU_ON_US: u64 = 1_000_000;
/// How long the CPUs may take to check their parts of the request, in microseconds.
const CHECK_US: u64 = 60_000_000;

/// A CPU that has gathered has not checked its part of the request in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not all CPUs checked their parts of the request within {CHECK_US} us")]
pub struct NotChecked;

/// The CPUs that have gathered.
#[derive(Clone, Copy, Debug)]
pub struct Gathered {
    /// The generation that they have gathered for.
    pub generation: u64,
    /// How many CPUs did not come, and were given up.
    pub missing: usize,
}

/// Ends the generation that runs, and has all CPUs but the boot CPU, `cpu`, come to the monitor. Those
/// that do not come in time are given up.
pub fn gather<P: Platform>(platform: &P, cpu: &P::Cpu, closed: &Closed) -> Gathered {
    let rendezvous = platform.rendezvous();
    if !platform.wait_us(CPU_ON_US, || closed.is_quiet()) {
        log::warn!("firmware did not return from a CPU_ON within {CPU_ON_US} us");
    }
    let generation = rendezvous.begin(closed);
    platform.end_generation();
    platform.mark_reached(Milestone::Kicked);
    platform.mark_arrived(cpu);
    rendezvous.arrive(cpu, generation);
    let missing = await_all(platform, generation);
    rendezvous.share_out(platform.cpus(), generation, missing);
    platform.mark_reached(Milestone::Gathered);
    Gathered {
        generation,
        missing,
    }
}

/// Has all that have gathered check the request of the boot CPU, `cpu`, round by round. `Ok(Err(_))` if
/// it is refused: nothing was changed.
///
/// # Errors
///
/// [`NotChecked`] if a CPU does not finish: it may hold what the others need.
pub fn check<P: Platform>(
    platform: &P,
    cpu: &P::Cpu,
    generation: u64,
) -> Result<Result<(), P::Refusal>, NotChecked> {
    let rendezvous = platform.rendezvous();
    for round in 0..Stage::MAX_ROUNDS {
        match platform.begin_round(round) {
            Ok(true) => {}
            Ok(false) => break,
            Err(refusal) => return Ok(Err(refusal)),
        }
        let stage = Stage::Check(round);
        rendezvous.order(generation, stage);
        platform.check(cpu);
        rendezvous.finish(cpu, generation, stage);
        if !platform.wait_us(CHECK_US, || rendezvous.is_finished(generation, stage)) {
            return Err(NotChecked);
        }
    }
    platform.mark_reached(Milestone::Checked);
    Ok(Ok(()))
}

/// Has the kernel whose request was refused go on, on every CPU where it was. One that was given up does
/// when it comes, as if it had not been asked.
pub fn resume<P: Platform>(platform: &P, gathered: Gathered, closed: Closed) {
    let rendezvous = platform.rendezvous();
    // Its memory first: a CPU that finds its generation going on needs it.
    platform.resume_generation(gathered.generation);
    rendezvous.resume(platform.cpus(), gathered.generation);
    rendezvous.order(gathered.generation, Stage::Refused);
    rendezvous.end(closed);
}

/// Waits until all CPUs are in the monitor, gives up those that do not come in time, and returns how
/// many these are.
///
/// CPUs that have not arrived after half of the time are kicked once more, from outside.
fn await_all<P: Platform>(platform: &P, generation: u64) -> usize {
    let rendezvous = platform.rendezvous();
    let half_us = platform.arrival_timeout_us() / 2;
    let all_came = || rendezvous.is_gathered(generation);
    if platform.wait_us(half_us, all_came) {
        return 0;
    }
    for cpu in platform.cpus() {
        let awaited = || rendezvous.is_awaited(cpu, generation);
        if awaited() {
            platform.kick_from_outside(cpu, awaited);
        }
    }
    sev();
    if platform.wait_us(half_us, all_came) {
        return 0;
    }
    platform
        .cpus()
        .iter()
        .filter(|cpu| rendezvous.give_up(*cpu, generation))
        .count()
}
