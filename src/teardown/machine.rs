//! The phases on the machine itself.

use super::error::StepError;
use super::gate::Closed;
use super::hardware::{Hardware, HasPower, Milestone};
use super::rendezvous::{Member, Participant, Rendezvous};
use super::steps::TABLE;
use super::table::{self, Manner, Phase};
use super::{mistake, phases, report};
use crate::arch::{barrier, time};
use crate::cpu::{self, Cpu};
use crate::machine::Machine;
use crate::memory::generation::NoRoot;
use crate::memory::heap::HEAP;
use crate::options::Teardown;
use crate::psci::power::{Power, Start};
use crate::psci::{self, firmware};
use arm_psci::ErrorCode;
use core::sync::atomic::Ordering::{Relaxed, Release};
use thiserror::Error;

/// The SGI that wakes CPUs from WFI: Linux has the first eight enabled on every CPU.
const SGI: u8 = 0;

/// Why there is no next kernel to enter. The old one is gone: the machine is reset.
#[derive(Clone, Copy, Debug, Error)]
pub enum NoNextKernel {
    /// A CPU did not copy its share: half of a kernel is no kernel.
    #[error("the kexec list changed while the CPUs were taken")]
    Spoilt,
    /// It has no stage 2.
    #[error(transparent)]
    NoRoot(#[from] NoRoot),
}

impl Participant for Cpu {
    fn index(&self) -> usize {
        self.index
    }

    fn member(&self) -> &Member {
        &self.member
    }
}

impl HasPower for Cpu {
    fn power(&self) -> &Power {
        &self.power
    }
}

impl Hardware for Machine {
    type Cpu = Cpu;
    type Failure = NoNextKernel;

    fn rendezvous(&self) -> &Rendezvous {
        &self.takeover.rendezvous
    }

    fn cpus(&self) -> &[Cpu] {
        &self.cpus
    }

    fn wait_us(&self, us: u64, done: impl FnMut() -> bool) -> bool {
        time::wait_us(us, done).is_ok()
    }

    fn patience_us(&self) -> u64 {
        self.options.wait.as_micros() as u64
    }

    fn reached(&self, milestone: Milestone) {
        self.takeover.reached(milestone);
    }

    /// A CPU that runs traps at its next instruction, one that waits is woken.
    fn end_generation(&self) {
        self.generations.end();
        self.gic.kick_all_others(SGI);
        let listens = |cpu: &Cpu| cpu.listens.load(Relaxed);
        for cpu in self.cpus.iter().filter(|cpu| listens(cpu)) {
            self.gic.kick_from_outside(cpu.mpidr, SGI, || listens(cpu));
        }
        barrier::sev();
        // From here on nothing is mapped on demand, which is all that allocates while a guest runs.
        HEAP.seal(true);
    }

    fn kick_from_outside(&self, cpu: &Cpu, awaited: impl FnOnce() -> bool) {
        self.gic.kick_from_outside(cpu.mpidr, SGI, awaited);
    }

    fn leave_behind(&self, missing: usize) {
        self.generations.leave_behind(missing);
    }

    fn came_from(&self, epoch: u64) {
        self.generations.came_from(epoch);
    }

    fn own(&self, cpu: &Cpu, late: bool) {
        if late {
            return walk(cpu, Phase::Own, false);
        }
        cpu.times.clear();
        cpu.times.arrived.store(time::now(), Relaxed);
        cpu.exits.retire();
        *cpu.failed.lock() = cpu::Failed::default();
        walk(cpu, Phase::Own, false);
        cpu.times.phase1_end.store(time::now(), Relaxed);
    }

    fn sync(&self, cpu: &Cpu, missing: usize) {
        if missing > 0 {
            self.takeover.note_missing(missing);
        }
        walk(cpu, Phase::Sync, false);
    }

    fn load(&self, cpu: &Cpu) {
        cpu.times.phase3_start.store(time::now(), Relaxed);
        mistake::make(cpu);
        walk(cpu, Phase::Load, false);
        cpu.times.phase3_end.store(time::now(), Relaxed);
    }

    fn begin_generation(&self, epoch: u64) -> Result<Start, NoNextKernel> {
        report::print_trouble(self);
        if self.takeover.is_spoilt() {
            return Err(NoNextKernel::Spoilt);
        }
        HEAP.seal(false);
        self.generations.begin(epoch)?;
        let (free, roots) = self.generations.free_roots();
        log::debug!(
            "generation {epoch}: {} bytes of the heap in use, {free} of {roots} stage 2 roots free",
            HEAP.used()
        );
        let next = self.takeover.next_kernel();
        report::write_to_tree(self, next.x0, self.takeover.bytes());
        Ok(Start {
            entry: next.entry,
            context: next.x0,
        })
    }

    fn firmware_on(&self, cpu: &Cpu) -> Result<(), ErrorCode> {
        // Firmware is given its address, which is to last.
        let cpu = Machine::get().cpus.get(cpu.index);
        let cpu = cpu.ok_or(ErrorCode::InvalidParameters)?;
        firmware::cpu_on(cpu).map_err(|error| {
            log::log!(
                Cpu::current().exits.complaint(),
                "firmware refuses CPU_ON of CPU {}: {error}",
                cpu.index
            );
            psci::code(error)
        })
    }

    fn firmware_off(&self, cpu: &Cpu) -> Result<(), ErrorCode> {
        self.gic.leaves(cpu.mpidr);
        Err(psci::code(firmware::cpu_off()))
    }

    fn clear_at_off(&self, cpu: &Cpu, stays: Option<&Cpu>) {
        if let Some(other) = stays {
            self.gic.move_shared(cpu.mpidr, other.mpidr);
        }
        walk(cpu, Phase::Own, true);
    }
}

/// The boot CPU takes all others, loads the next kernel and enters it. The plan has been validated.
pub fn take_over(cpu: &'static Cpu, closed: Closed<'static>) -> ! {
    let machine = Machine::get();
    machine.takeover.clear(cpu);
    match phases::take_over(machine, cpu, closed) {
        Ok(start) => {
            machine.takeover.times.entered.store(time::now(), Release);
            cpu::enter(cpu, start)
        }
        Err(failure) => {
            log::error!("{failure}");
            reset(machine)
        }
    }
}

/// Any other CPU, from wherever its kernel's end found it.
pub fn join(cpu: &'static Cpu) -> ! {
    phases::join(Machine::get(), cpu);
    cpu::park(cpu)
}

fn walk(cpu: &Cpu, phase: Phase, at_off: bool) {
    let machine = Machine::get();
    let in_turn = |step: &dyn Fn() -> Result<(), StepError>| {
        let _turn = machine.takeover.turn.lock();
        step()
    };
    let failed = |name, error| {
        if !machine.takeover.rendezvous.is_closed() {
            let level = cpu.exits.complaint();
            log::log!(level, "cpu {}: step \"{name}\": {error}", cpu.index);
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
