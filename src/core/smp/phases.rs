// SPDX-License-Identifier: Apache-2.0
//! The three phases of a takeover, as the boot CPU and every other CPU go through them.

use crate::smp::gate::Closed;
use crate::smp::kick::await_all;
use crate::smp::platform::{HasPower, Milestone, Platform};
use crate::smp::power::Start;
use crate::smp::rendezvous::Participant;
use crate::sync::{pause, wfe};
use thiserror::Error;

/// How long CPU_ON calls that are under way may take to end, in microseconds.
const CPU_ON_US: u64 = 1_000_000;
/// How long the CPUs may take to copy the next kernel, in microseconds.
const LOAD_US: u64 = 60_000_000;

/// Why a takeover does not lead to the next kernel. The old one is gone, so the machine has to be
/// reset.
#[derive(Debug, Error)]
pub enum Failure<E> {
    /// A CPU that arrived has not finished phase 3 in time.
    #[error("not all CPUs copied their share within {LOAD_US} us")]
    NotLoaded,
    /// The next kernel cannot be entered.
    #[error("{0}")]
    NoNextKernel(E),
}

/// Takes all other CPUs for the boot CPU, `cpu`, loads the next kernel, and returns where it
/// begins. The plan has been validated.
///
/// # Errors
///
/// Returns a [`Failure`]; all CPUs stay in the monitor.
pub fn take_over<P: Platform>(
    platform: &P,
    cpu: &P::Cpu,
    closed: Closed,
) -> Result<Start, Failure<P::Failure>> {
    let rendezvous = platform.rendezvous();
    let starts_ended = platform.wait_us(CPU_ON_US, || closed.is_quiet());
    let generation = rendezvous.begin(&closed);
    platform.end_generation();
    platform.mark_reached(Milestone::Kicked);

    // Phase 1: ONLINE to TEARDOWN_CPU.
    rendezvous.arrive(cpu, generation);
    platform.teardown_private(cpu, false);
    rendezvous.finish_phase1(cpu, generation);
    let missing = await_all(platform, generation);
    platform.mark_reached(Milestone::Phase1);

    // Phase 2: the boot CPU alone, while all others wait to be released.
    rendezvous.share_out(platform.cpus(), generation, missing);
    platform.teardown_shared(cpu, missing);
    platform.mark_reached(Milestone::Phase2);
    rendezvous.release(generation);

    // Phase 3: TEARDOWN_CPU to IDLE_DEAD.
    platform.load(cpu);
    rendezvous.finish_phase3(cpu, generation);
    let loaded = platform.wait_us(LOAD_US, || rendezvous.is_phase3_finished(generation));
    platform.mark_reached(Milestone::Phase3);

    if !starts_ended {
        log::warn!("firmware did not return from a CPU_ON within {CPU_ON_US} us");
    }
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
    Ok(start)
}

/// Joins the takeover that is under way, on any CPU but the boot CPU, and returns when the calling
/// CPU is parked for the next kernel. One that the takeover does not wait for clears its private
/// state alone.
pub fn join<P: Platform>(platform: &P, cpu: &P::Cpu) {
    let rendezvous = platform.rendezvous();
    let generation = rendezvous.generation();
    if !rendezvous.arrive(cpu, generation) {
        return join_late(platform, cpu);
    }
    platform.teardown_private(cpu, false);
    rendezvous.finish_phase1(cpu, generation);
    // This wait has no bound of its own: the boot CPU releases all CPUs, or resets the machine.
    while !rendezvous.is_released(generation) {
        wfe();
    }
    platform.load(cpu);
    cpu.member().set_generation(generation);
    cpu.power().park();
    rendezvous.finish_phase3(cpu, generation);
}

/// Clears the private state of the calling CPU, which was given up or not waited for, and parks it:
/// it is off for the next kernel.
fn join_late<P: Platform>(platform: &P, cpu: &P::Cpu) {
    let left_in = cpu.member().generation();
    platform.teardown_private(cpu, true);
    while !platform.rendezvous().admit(cpu) {
        pause();
    }
    platform.mark_recovered(left_in);
    log::warn!("cpu {}: arrived late; it is OFF", cpu.index());
    cpu.power().mark_recovered();
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
