//! The three phases, as the boot CPU and every other CPU go through them.

use super::gate::Closed;
use super::hardware::{Hardware, HasPower, Milestone};
use super::kick::await_all;
use super::rendezvous::Participant;
use crate::psci::power::Start;
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
pub fn take_over<H: Hardware>(
    hardware: &H,
    cpu: &H::Cpu,
    closed: Closed,
) -> Result<Start, Failure<H::Failure>> {
    let rendezvous = hardware.rendezvous();
    let starts_ended = hardware.wait_us(CPU_ON_US, || closed.is_quiet());
    let epoch = rendezvous.begin(&closed);
    hardware.end_generation();
    hardware.reached(Milestone::Kicked);

    // Phase 1: ONLINE to TEARDOWN_CPU.
    rendezvous.come(cpu, epoch);
    hardware.own(cpu, false);
    rendezvous.has_arrived(cpu, epoch);
    let missing = await_all(hardware, epoch);
    hardware.reached(Milestone::Phase1);

    // Phase 2: sync.
    rendezvous.share_out(hardware.cpus(), epoch, missing);
    hardware.sync(cpu, missing);
    hardware.reached(Milestone::Phase2);
    rendezvous.release(epoch);

    // Phase 3: TEARDOWN_CPU to IDLE_DEAD.
    hardware.load(cpu);
    rendezvous.has_loaded(cpu, epoch);
    let loaded = hardware.wait_us(LOAD_US, || rendezvous.all_loaded(epoch));
    hardware.reached(Milestone::Phase3);

    if !starts_ended {
        log::warn!("a CPU_ON did not end within {CPU_ON_US} us");
    }
    if !loaded {
        return Err(Failure::NotLoaded);
    }
    if missing > 0 {
        forget_missing(hardware, epoch);
    }
    let start = hardware
        .begin_generation(epoch)
        .map_err(Failure::NoNextKernel)?;
    cpu.member().live_in(epoch);
    cpu.power().set_on();
    rendezvous.end(closed);
    Ok(start)
}

/// Any other CPU, from wherever its kernel's end found it, to IDLE_DEAD.
pub fn join<H: Hardware>(hardware: &H, cpu: &H::Cpu) {
    let rendezvous = hardware.rendezvous();
    let epoch = rendezvous.epoch();
    if !rendezvous.come(cpu, epoch) {
        return late(hardware, cpu);
    }
    hardware.own(cpu, false);
    rendezvous.has_arrived(cpu, epoch);
    // Without a bound of its own: the boot CPU releases all, or resets the machine.
    while !rendezvous.is_released(epoch) {
        wfe();
    }
    hardware.load(cpu);
    cpu.member().live_in(epoch);
    cpu.power().park();
    rendezvous.has_loaded(cpu, epoch);
}

/// A CPU that was given up, or that nobody counted on: it clears what is its own, and is OFF for
/// the next kernel.
fn late<H: Hardware>(hardware: &H, cpu: &H::Cpu) {
    let left_in = cpu.member().epoch();
    hardware.own(cpu, true);
    while !hardware.rendezvous().admit(cpu) {
        pause();
    }
    hardware.came_from(left_in);
    log::warn!("cpu {}: arrived late; it is OFF", cpu.index());
    cpu.power().came_back();
}

/// CPUs that were given up are nobody's before they come.
fn forget_missing<H: Hardware>(hardware: &H, epoch: u64) {
    for cpu in hardware.cpus() {
        let member = cpu.member();
        if member.arrival().is_missing(epoch) {
            // Firmware refused to start it, and has it.
            if !cpu.power().forsake() {
                hardware.came_from(member.epoch());
            }
            hardware.rendezvous().forget(cpu);
        }
    }
}
