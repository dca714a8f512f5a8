//! Bringing every CPU in (DESIGN: "Taking the CPUs: the kick").

use crate::arch::{barrier, time};
use crate::cpu::Cpu;
use crate::machine::Machine;
use core::sync::atomic::Ordering::Relaxed;

/// The SGI that wakes CPUs from WFI: Linux has the first eight enabled on every CPU.
const SGI: u8 = 0;

/// Ends the generation: a CPU that runs traps at its next instruction, one that waits is woken.
pub fn end_generation(machine: &Machine) {
    machine.generations.end();
    machine.gic.kick_all_others(SGI);
    let listens = |cpu: &Cpu| cpu.listens.load(Relaxed);
    for cpu in machine.cpus.iter().filter(|cpu| listens(cpu)) {
        machine
            .gic
            .kick_from_outside(cpu.mpidr, SGI, || listens(cpu));
    }
    barrier::sev();
    machine.takeover.times.kicked.store(time::now(), Relaxed);
}

/// Waits for all CPUs to have finished phase 1, and returns how many were given up.
///
/// Those that have not come within half of the bound are helped once, from outside.
pub fn await_all(machine: &'static Machine, epoch: u64) -> usize {
    let takeover = &machine.takeover;
    let half_us = machine.options.wait.as_micros() as u64 / 2;
    let all_there = || takeover.arrived.is_complete(epoch);
    if time::wait_us(half_us, all_there).is_ok() {
        return 0;
    }
    let absent = || {
        machine
            .cpus
            .iter()
            .filter(|cpu| cpu.started.load(Relaxed) && !cpu.arrival.has_arrived(epoch))
    };
    for cpu in absent() {
        machine
            .gic
            .kick_from_outside(cpu.mpidr, SGI, || !cpu.arrival.has_arrived(epoch));
    }
    barrier::sev();
    if time::wait_us(half_us, all_there).is_ok() {
        return 0;
    }
    let mut missing = 0;
    for cpu in absent() {
        if cpu.arrival.give_up(epoch) {
            missing += 1;
            takeover.arrived.arrive(cpu.index, epoch);
            takeover.loaded.arrive(cpu.index, epoch);
        }
    }
    if missing > 0 {
        machine.generations.leave_behind(missing);
    }
    // The steps of those that did come are bounded, each of them.
    if let Err(error) = time::wait_us(10 * half_us, all_there) {
        log::warn!("not all CPUs that arrived have finished phase 1: {error}");
    }
    missing
}
