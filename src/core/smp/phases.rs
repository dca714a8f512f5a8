// SPDX-License-Identifier: Apache-2.0
//! The three phases of a takeover, as the boot CPU and every other CPU go through them.

use crate::smp::gate::Closed;
use crate::smp::gather::{self, Gathered, NotChecked};
use crate::smp::platform::{HasPower, Milestone, Platform};
use crate::smp::power::Start;
use crate::smp::rendezvous::Participant;
use crate::smp::stage::Stage;
use crate::sync::pause;
use thiserror::Error;

/// How long the CPUs may take to copy the next kernel, in microseconds.
const LOAD_US: u64 = 60_000_000;

/// Why a takeover leads neither to the next kernel nor back to the old one. The machine has to be reset.
#[derive(Debug, Error)]
pub enum Failure<E> {
    /// The request was not checked.
    #[error(transparent)]
    NotChecked(#[from] NotChecked),
    /// A CPU that has gathered has not finished phase 3 in time.
    #[error("not all CPUs copied their share within {LOAD_US} us")]
    NotLoaded,
    /// The next kernel cannot be entered.
    #[error("{0}")]
    NoNextKernel(E),
}

/// How a takeover ends on the boot CPU.
#[derive(Debug)]
pub enum End<R> {
    /// The next kernel begins.
    Next(Start),
    /// The request was refused: the kernel that made it goes on.
    Refused(R),
}

/// How a takeover ends on any other CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Joined {
    /// It is parked for the next kernel.
    Parked,
    /// The request was refused: it goes on where it was.
    Resumed,
}

/// Gathers all other CPUs for the boot CPU, `cpu`, has them check its request, and takes them and loads
/// the next kernel if that holds. Returns where that begins, or why the request is refused.
///
/// # Errors
///
/// Returns a [`Failure`]; all CPUs stay in the monitor.
pub fn take_over<P: Platform>(
    platform: &P,
    cpu: &P::Cpu,
    closed: Closed,
) -> Result<End<P::Refusal>, Failure<P::Failure>> {
    let rendezvous = platform.rendezvous();
    let gathered = gather::gather(platform, cpu, &closed);
    let Gathered {
        generation,
        missing,
    } = gathered;
    if let Err(refusal) = gather::check(platform, cpu, generation)? {
        gather::resume(platform, gathered, closed);
        return Ok(End::Refused(refusal));
    }
    platform.accept(cpu, missing);

    // Phase 1: ONLINE to TEARDOWN_CPU.
    rendezvous.order(generation, Stage::Phase1);
    platform.teardown_private(cpu, false);
    rendezvous.finish(cpu, generation, Stage::Phase1);
    // They will finish: each of their steps has a bound.
    let torn_down = || rendezvous.is_finished(generation, Stage::Phase1);
    if !platform.wait_us(platform.teardown_timeout_us(), torn_down) {
        log::warn!("not all CPUs have finished phase 1 in time");
    }
    platform.mark_reached(Milestone::Phase1);

    // Phase 2: the boot CPU alone, while all others wait for its order.
    platform.teardown_shared(cpu);
    platform.mark_reached(Milestone::Phase2);

    // Phase 3: TEARDOWN_CPU to IDLE_DEAD.
    rendezvous.order(generation, Stage::Phase3);
    platform.load(cpu);
    rendezvous.finish(cpu, generation, Stage::Phase3);
    let loaded = platform.wait_us(LOAD_US, || {
        rendezvous.is_finished(generation, Stage::Phase3)
    });
    platform.mark_reached(Milestone::Phase3);

    if !loaded {
        return Err(Failure::NotLoaded);
    }
    if missing > 0 {
        forget_missing(platform, generation);
    }
    let start = platform
        .begin_generation(generation)
        .map_err(Failure::NoNextKernel)?;
    cpu.member().set_generation(generation);
    cpu.power().set_on();
    rendezvous.end(closed);
    Ok(End::Next(start))
}

/// Joins the takeover that is under way, on any CPU but the boot CPU, and returns when the calling CPU
/// is parked for the next kernel, or is to go on where it was.
///
/// One that the takeover does not wait for clears its private state alone, once it is clear that its
/// kernel does not go on.
pub fn join<P: Platform>(platform: &P, cpu: &P::Cpu) -> Joined {
    let rendezvous = platform.rendezvous();
    while rendezvous.is_over(cpu.member()) {
        let generation = rendezvous.generation();
        platform.mark_arrived(cpu);
        if rendezvous.arrive(cpu, generation) {
            return take_part(platform, cpu, generation);
        }
        // One that was given up is forgotten when its kernel is, and goes on if that does.
        if !cpu.member().arrival().is_expected() {
            join_late(platform, cpu);
            return Joined::Parked;
        }
        pause();
    }
    Joined::Resumed
}

/// Does what the boot CPU orders, up to the end of the takeover.
fn take_part<P: Platform>(platform: &P, cpu: &P::Cpu, generation: u64) -> Joined {
    let rendezvous = platform.rendezvous();
    let mut done = None;
    loop {
        let stage = rendezvous.await_order(generation, done);
        match stage {
            Stage::Check(_) => platform.check(cpu),
            Stage::Refused => return Joined::Resumed,
            Stage::Phase1 => platform.teardown_private(cpu, false),
            Stage::Phase3 => {
                platform.load(cpu);
                cpu.member().set_generation(generation);
                cpu.power().park();
            }
        }
        rendezvous.finish(cpu, generation, stage);
        if stage == Stage::Phase3 {
            return Joined::Parked;
        }
        done = Some(stage);
    }
}

/// Clears the private state of the calling CPU, which was given up or not waited for, and parks it:
/// it is off for the next kernel.
fn join_late<P: Platform>(platform: &P, cpu: &P::Cpu) {
    let left_in = cpu.member().generation();
    platform.teardown_private(cpu, true);
    readmit(platform, cpu);
    platform.mark_recovered(left_in);
    log::warn!("cpu {}: arrived late; it is OFF", cpu.index());
}

/// Waits until no takeover is under way, and makes the calling CPU, which was given up or removed, one that
/// is parked and that the next one waits for.
pub(super) fn readmit<P: Platform>(platform: &P, cpu: &P::Cpu) {
    // One that the next takeover gives up again is lost again, and stays so.
    let recovered = || cpu.power().mark_recovered();
    while !platform.rendezvous().admit(cpu, recovered) {
        pause();
    }
}

/// Marks CPUs that were given up in `generation` as lost: nobody can turn them on, and no takeover
/// waits for them, before they have recovered.
fn forget_missing<P: Platform>(platform: &P, generation: u64) {
    for cpu in platform.cpus() {
        let member = cpu.member();
        if member.arrival().is_missing(generation) {
            // One that firmware refused to start is off there, and not lost.
            if !cpu.power().mark_lost() {
                platform.mark_recovered(member.generation());
            }
            platform.rendezvous().forget(cpu);
        }
    }
}
