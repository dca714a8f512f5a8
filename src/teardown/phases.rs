//! The three phases, as the boot CPU and every other CPU go through them.

use super::error::StepError;
use super::gate::Closed;
use super::steps::TABLE;
use super::table::{self, Manner, Phase};
use super::{kick, report};
use crate::arch::{barrier, time};
use crate::cpu::{self, Cpu};
use crate::machine::Machine;
use crate::memory::heap::HEAP;
use crate::options::Teardown;
use crate::psci::firmware;
use crate::psci::power::Start;
use core::sync::atomic::Ordering::{Relaxed, Release};

/// How long firmware may take to start a CPU that was asked for before, in microseconds.
const CPU_ON_US: u64 = 1_000_000;
/// How long the CPUs may take to copy the next kernel, in microseconds.
const LOAD_US: u64 = 60_000_000;

/// The boot CPU takes all others, loads the next kernel and enters it. The plan has been validated.
pub fn take_over(cpu: &'static Cpu, closed: Closed<'static>) -> ! {
    let machine = Machine::get();
    let takeover = &machine.takeover;
    let starting = time::wait_us(CPU_ON_US, || closed.is_quiet());
    let epoch = takeover.begin(cpu);
    kick::end_generation(machine);
    // From here on nothing is mapped on demand, which is all that allocates while a guest runs.
    HEAP.seal(true);

    own(cpu, epoch);
    takeover.arrived.arrive(cpu.index, epoch);
    let missing = kick::await_all(machine, epoch);
    takeover.times.phase1_end.store(time::now(), Relaxed);

    takeover.share_out(machine, epoch, missing);
    walk(cpu, Phase::Sync, false);
    takeover.times.phase2_end.store(time::now(), Relaxed);
    takeover.release(epoch);

    load(cpu);
    takeover.loaded.arrive(cpu.index, epoch);
    let loaded = time::wait_us(LOAD_US, || takeover.loaded.is_complete(epoch));
    takeover.times.phase3_end.store(time::now(), Relaxed);

    if let Err(error) = starting {
        log::warn!("a CPU_ON did not end: {error}");
    }
    if let Err(error) = loaded {
        log::error!("not all CPUs copied their share: {error}");
        reset(machine);
    }
    if takeover.is_spoilt() {
        // Half of a kernel is no kernel: the old one is gone, and there is no next one.
        log::error!("the kexec list changed while the CPUs were taken");
        reset(machine);
    }
    report::print_trouble(machine);
    takeover.forget_missing(machine, epoch, missing);
    HEAP.seal(false);
    if let Err(error) = machine.generations.begin(epoch) {
        log::error!("{error}");
        reset(machine);
    }
    let (free, roots) = machine.generations.free_roots();
    log::debug!(
        "generation {epoch}: {} bytes of the heap in use, {free} of {roots} stage 2 roots free",
        HEAP.used()
    );
    let next = takeover.next_kernel();
    report::write_to_tree(machine, next.x0, takeover.bytes());
    cpu.epoch.store(epoch, Relaxed);
    cpu.power.set_on();
    closed.open();
    takeover.times.entered.store(time::now(), Release);
    cpu::enter(
        cpu,
        Start {
            entry: next.entry,
            context: next.x0,
        },
    )
}

/// Any other CPU, from wherever its kernel's end found it, to IDLE_DEAD.
pub fn join(cpu: &'static Cpu) -> ! {
    let takeover = &Machine::get().takeover;
    let epoch = takeover.epoch();
    if !cpu.arrival.arrive(epoch) {
        late(cpu);
    }
    own(cpu, epoch);
    takeover.arrived.arrive(cpu.index, epoch);
    // Without a bound of its own: the boot CPU releases all, or resets the machine.
    while !takeover.is_released(epoch) {
        barrier::wfe();
    }
    load(cpu);
    cpu.epoch.store(epoch, Relaxed);
    cpu.power.park();
    takeover.loaded.arrive(cpu.index, epoch);
    cpu::park(cpu)
}

/// A CPU that was given up: it clears what is its own, and is OFF for the next kernel.
fn late(cpu: &'static Cpu) -> ! {
    let machine = Machine::get();
    let takeover = &machine.takeover;
    let left_in = cpu.epoch.load(Relaxed);
    walk(cpu, Phase::Own, false);
    loop {
        // The set of CPUs changes only between takeovers.
        if let Some(pass) = takeover.gate.pass() {
            takeover.expect(cpu, &pass);
            break;
        }
        barrier::pause();
    }
    machine.generations.came_from(left_in);
    log::warn!("cpu {}: arrived late; it is OFF", cpu.index);
    cpu.power.park();
    cpu::park(cpu)
}

/// Phase 1 on one CPU.
fn own(cpu: &'static Cpu, epoch: u64) {
    cpu.times.clear();
    cpu.times.arrived.store(time::now(), Relaxed);
    // The boot CPU of the takeover has not been through `join`.
    cpu.arrival.arrive(epoch);
    cpu.exits.retire();
    *cpu.failed.lock() = cpu::Failed::default();
    walk(cpu, Phase::Own, false);
    cpu.times.phase1_end.store(time::now(), Relaxed);
}

/// Phase 3 on one CPU.
fn load(cpu: &'static Cpu) {
    cpu.times.phase3_start.store(time::now(), Relaxed);
    walk(cpu, Phase::Load, false);
    cpu.times.phase3_end.store(time::now(), Relaxed);
}

/// Clears what is a CPU's own as its kernel turns it off, and goes on.
pub fn clear_at_off(cpu: &Cpu) {
    walk(cpu, Phase::Own, true);
}

fn walk(cpu: &Cpu, phase: Phase, at_off: bool) {
    let machine = Machine::get();
    let in_turn = |step: &dyn Fn() -> Result<(), StepError>| {
        let _turn = machine.takeover.turn.lock();
        step()
    };
    let failed = |name, error| {
        if !machine.takeover.gate.is_closed() {
            log::warn!("cpu {}: step \"{name}\": {error}", cpu.index);
            return;
        }
        machine.takeover.note_trouble();
        let mut failed = cpu.failed.lock();
        failed.count += 1;
        failed.first.get_or_insert((name, error));
    };
    let manner = Manner {
        serial: is_serial(machine),
        at_off,
        leave_out: machine.options.leave_out.as_deref(),
    };
    table::walk(&TABLE, phase, manner, cpu, in_turn, failed);
}

fn is_serial(machine: &Machine) -> bool {
    machine.options.teardown == Teardown::Serial
}

/// What is not usual about the table, said once at boot: the capability check, and steps left out.
pub fn say_serial_steps(machine: &Machine) {
    if is_serial(machine) {
        log::info!("teardown=serial: every step runs CPU by CPU");
    }
    let left_out = machine.options.leave_out.as_deref();
    for name in left_out.iter().flat_map(|names| names.split(',')) {
        if TABLE.iter().any(|step| step.name == name) {
            log::warn!("step \"{name}\" is left out: the next kernel finds what it would clear");
        } else {
            log::warn!("there is no step \"{name}\" to leave out");
        }
    }
    for name in table::serial_steps(&TABLE) {
        log::info!("step \"{name}\" is not safe in parallel: it runs CPU by CPU");
    }
}

fn reset(machine: &Machine) -> ! {
    report::print_trouble(machine);
    let refusal = firmware::system_reset();
    panic!("firmware refuses SYSTEM_RESET: {refusal}");
}
