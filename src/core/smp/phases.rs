// SPDX-License-Identifier: Apache-2.0
//! The three phases, as the boot CPU and every other CPU go through them.

use crate::smp::gate::Closed;
use crate::smp::kick::await_all;
use crate::smp::platform::{HasPower, Milestone, Platform};
use crate::smp::power::Start;
use crate::smp::rendezvous::Participant;
use crate::sync::{pause, wfe};
use thiserror::Error;

/// How long firmware may take to start a CPU that was asked for before, in microseconds.
const CPU_ON_US: u64 = 1_000_000;
/// How long the CPUs may take to copy the next kernel, in microseconds.
const LOAD_US: u64 = 60_000_000;

/// Why a takeover does not lead to the next kernel: the old one is gone, so the machine is reset.
#[derive(Debug, Error)]
pub enum Failure<E> {
    /// A CPU that arrived has not finished phase 3.
    #[error("not all CPUs copied their share within {LOAD_US} us")]
    NotLoaded,
    /// It cannot be entered.
    #[error("{0}")]
    NoNextKernel(E),
}

/// The boot CPU takes all others, loads the next kernel, and returns where it begins. The plan has
/// been validated.
///
/// # Errors
///
/// [`Failure`]; the CPUs stay taken.
pub fn take_over<P: Platform>(
    platform: &P,
    cpu: &P::Cpu,
    closed: Closed,
) -> Result<Start, Failure<P::Failure>> {
    let rendezvous = platform.rendezvous();
    let starts_ended = platform.wait_us(CPU_ON_US, || closed.is_quiet());
    let generation = rendezvous.begin(&closed);
    platform.end_generation();
    platform.reached(Milestone::Kicked);

    // Phase 1: ONLINE to TEARDOWN_CPU.
    rendezvous.come(cpu, generation);
    platform.own(cpu, false);
    rendezvous.has_arrived(cpu, generation);
    let missing = await_all(platform, generation);
    platform.reached(Milestone::Phase1);

    // Phase 2: sync.
    rendezvous.share_out(platform.cpus(), generation, missing);
    platform.sync(cpu, missing);
    platform.reached(Milestone::Phase2);
    rendezvous.release(generation);

    // Phase 3: TEARDOWN_CPU to IDLE_DEAD.
    platform.load(cpu);
    rendezvous.has_loaded(cpu, generation);
    let loaded = platform.wait_us(LOAD_US, || rendezvous.all_loaded(generation));
    platform.reached(Milestone::Phase3);

    if !starts_ended {
        log::warn!("firmware did not return from a CPU_ON within {CPU_ON_US} us");
    }
    if !loaded {
        return Err(Failure::NotLoaded);
    }
    if missing > 0 {
        remove_missing(platform, generation);
    }
    let start = platform
        .begin_generation(generation)
        .map_err(Failure::NoNextKernel)?;
    cpu.member().live_in(generation);
    cpu.power().set_on();
    rendezvous.end(closed);
    Ok(start)
}

/// Any other CPU, from wherever its kernel's end found it, to IDLE_DEAD.
pub fn join<P: Platform>(platform: &P, cpu: &P::Cpu) {
    let rendezvous = platform.rendezvous();
    let generation = rendezvous.generation();
    if !rendezvous.come(cpu, generation) {
        return late(platform, cpu);
    }
    platform.own(cpu, false);
    rendezvous.has_arrived(cpu, generation);
    // Without a bound of its own: the boot CPU releases all, or resets the machine.
    while !rendezvous.is_released(generation) {
        wfe();
    }
    platform.load(cpu);
    cpu.member().live_in(generation);
    cpu.power().park();
    rendezvous.has_loaded(cpu, generation);
}

/// A CPU that was given up, or that nobody counted on: it clears what is its own, and is OFF for
/// the next kernel.
fn late<P: Platform>(platform: &P, cpu: &P::Cpu) {
    let left_in = cpu.member().generation();
    platform.own(cpu, true);
    while !platform.rendezvous().admit(cpu) {
        pause();
    }
    platform.came_from(left_in);
    log::warn!("cpu {}: arrived late; it is OFF", cpu.index());
    cpu.power().recovered();
}

/// CPUs that were given up are nobody's before they come.
fn remove_missing<P: Platform>(platform: &P, generation: u64) {
    for cpu in platform.cpus() {
        let member = cpu.member();
        if member.arrival().is_missing(generation) {
            // Firmware refused to start it, and has it.
            if !cpu.power().mark_lost() {
                platform.came_from(member.generation());
            }
            platform.rendezvous().forget(cpu);
        }
    }
}
