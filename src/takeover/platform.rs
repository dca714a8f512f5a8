// SPDX-License-Identifier: Apache-2.0
//! The machine as the platform that the three phases run on.

use super::steps::TABLE;
use super::{crash, crash_interrupt, fault_injection, guest_console};
use crate::arch::time::Deadline;
use crate::arch::{barrier, time};
use crate::console;
use crate::firmware;
use crate::machine::Machine;
use crate::machine::cpu::{Cpu, Failed};
use crate::machine::request::InvalidRequest;
use crate::memory::heap::HEAP;
use crate::memory::stage2::NoRoot;
use crate::report;
use arm_psci::ErrorCode;
use baton_core::hw_error::HwError;
use baton_core::options::Teardown;
use baton_core::smp::gate::Closed;
use baton_core::smp::phases::{self, End};
use baton_core::smp::platform::{Milestone, Platform};
use baton_core::smp::power::Start;
use baton_core::smp::rendezvous::Rendezvous;
use baton_core::smp::steps::{self, Phase, WalkOptions};
use core::sync::atomic::Ordering::{Relaxed, Release};
use thiserror::Error;

/// The SGI that wakes CPUs from WFI: Linux has the first eight enabled on every CPU.
const SGI: u8 = 0;

/// Why there is no next kernel to enter. The old one is gone: the machine is reset.
#[derive(Clone, Copy, Debug, Error)]
pub enum NoNextKernel {
    /// A CPU did not copy its share: half of a kernel is no kernel.
    #[error("the kexec list changed while the CPUs were taken")]
    CopyFailed,
    /// The crash kernel is not as it was loaded.
    #[error("the crash kernel is damaged")]
    Damaged,
    /// It has no stage 2.
    #[error(transparent)]
    NoRoot(#[from] NoRoot),
}

impl Platform for Machine {
    type Cpu = Cpu;
    type Refusal = InvalidRequest;
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

    fn arrival_timeout_us(&self) -> u64 {
        self.options.wait.as_micros() as u64
    }

    fn mark_reached(&self, milestone: Milestone) {
        self.takeover.reached(milestone);
    }

    /// A CPU that runs traps at its next instruction, one that waits is woken.
    fn end_generation(&self) {
        self.generations.end();
        self.takeover.attempt.ended.store(time::now(), Relaxed);
        self.gic.kick_all_others(SGI);
        // None of them does as a rule, and there are many CPUs.
        if self.takeover.listening.load(Relaxed) > 0 {
            let listens = |cpu: &Cpu| cpu.listens.load(Relaxed);
            for cpu in self.cpus.iter().filter(|cpu| listens(cpu)) {
                self.gic.kick_from_outside(cpu.mpidr, SGI, || listens(cpu));
            }
        }
        barrier::sev();
    }

    fn kick_from_outside(&self, cpu: &Cpu, awaited: impl FnOnce() -> bool) {
        self.gic.kick_from_outside(cpu.mpidr, SGI, awaited);
    }

    fn mark_arrived(&self, cpu: &Cpu) {
        // What it has stored may come after its memory was taken away (`Workaround::DsbOnArrival`).
        barrier::dsb_sy();
        cpu.attempt.came(time::now());
        if self.takeover.is_crash() {
            cpu.keep_registers();
        }
    }

    fn begin_round(&self, round: u8) -> Result<bool, InvalidRequest> {
        // SAFETY: The boot CPU calls this, when no other CPU checks.
        unsafe {
            self.takeover
                .begin_round(&self.ram, &self.generations, round)
        }
    }

    fn check(&self, cpu: &Cpu) {
        let start = time::now();
        // SAFETY: The boot CPU has ordered it.
        unsafe { self.takeover.check(&self.ram, cpu) }
        cpu.attempt.has_checked(start, time::now());
    }

    fn resume_generation(&self, generation: u64) {
        self.takeover.attempt.refused.store(time::now(), Relaxed);
        self.gic.put_back_kicks(SGI);
        self.generations.resume(generation);
    }

    fn accept(&self, cpu: &Cpu, missing: usize) {
        if self.takeover.is_crash() {
            crash::write_notes(self);
        }
        crash_interrupt::follow(self, cpu);
        self.dma.begin();
        // What allocates in a takeover has done so: nothing can fail for want of memory.
        HEAP.seal(true);
        self.takeover.accept(cpu, missing);
        let generation = self.takeover.rendezvous.generation();
        if self.takeover.rendezvous.has_absent() {
            for cpu in &self.cpus {
                let arrival = cpu.member.arrival();
                if !arrival.has_arrived(generation) {
                    cpu.times.clear();
                    let missing = arrival.is_missing(generation) && arrival.is_expected();
                    let part = if missing { baton_abi::ROW_MISSING } else { 0 };
                    cpu.times.part.store(part, Relaxed);
                }
            }
        }
        if missing > 0 {
            self.generations.leave_behind(missing);
        }
    }

    fn mark_recovered(&self, generation: u64) {
        self.generations.came_from(generation);
    }

    fn teardown_private(&self, cpu: &Cpu, late: bool) {
        if late {
            return walk(self, cpu, Phase::Private, false);
        }
        cpu.times.clear();
        cpu.times.part.store(baton_abi::ROW_TOOK_PART, Relaxed);
        cpu.attempt.accept(&cpu.times);
        cpu.times.phase1_start.store(time::now(), Relaxed);
        cpu.exits.retire();
        *cpu.failed.lock() = Failed::default();
        walk(self, cpu, Phase::Private, false);
        cpu.times.phase1_end.store(time::now(), Relaxed);
    }

    fn teardown_timeout_us(&self) -> u64 {
        5 * self.options.wait.as_micros() as u64
    }

    fn teardown_shared(&self, cpu: &Cpu) {
        walk(self, cpu, Phase::Shared, false);
    }

    fn load(&self, cpu: &Cpu) {
        cpu.times.phase3_start.store(time::now(), Relaxed);
        fault_injection::inject(self.options.fault_injection, cpu);
        walk(self, cpu, Phase::Load, false);
        cpu.times.phase3_end.store(time::now(), Relaxed);
        report::write_row(self, cpu);
    }

    fn begin_generation(&self, generation: u64) -> Result<Start, NoNextKernel> {
        report::print_trouble(self);
        if self.takeover.copy_failed() {
            return Err(match self.takeover.is_crash() {
                true => NoNextKernel::Damaged,
                false => NoNextKernel::CopyFailed,
            });
        }
        HEAP.seal(false);
        self.generations.begin(generation)?;
        if log::log_enabled!(log::Level::Debug) {
            let (free, roots) = self.generations.free_roots();
            log::debug!(
                "generation {}: {} bytes of the heap in use, {free} of {roots} stage 2 roots free",
                self.takeover.reboots(),
                HEAP.used()
            );
        }
        let next = self.takeover.next_kernel();
        let usage = self.takeover.finish(&self.ram);
        guest_console::hand_over(self, next.x0, usage);
        report::finish(self, next.x0);
        Ok(Start {
            entry: next.entry,
            context: next.x0,
        })
    }

    fn firmware_on(&self, cpu: &Cpu) -> Result<(), ErrorCode> {
        // It did not come when the monitor started, and nobody else can start it.
        if cpu.in_spin_table {
            return Err(ErrorCode::InternalFailure);
        }
        firmware::cpu_on(cpu).map_err(|error| {
            let level = Cpu::current().map(|caller| caller.exits.complaint());
            log::log!(
                level.unwrap_or(log::Level::Warn),
                "firmware refuses CPU_ON of CPU {}: {error}",
                cpu.index
            );
            firmware::error_code(error)
        })
    }

    fn firmware_has_on(&self, cpu: &Cpu) -> bool {
        firmware::has_on(cpu.mpidr)
    }

    fn patience(&self, cpu: &Cpu) -> Option<impl Fn() -> bool> {
        // Firmware does not know a CPU of a spin table.
        let park = self.options.park.filter(|_| !cpu.in_spin_table)?;
        let deadline = Deadline::after_us(park.as_micros() as u64);
        Some(move || deadline.passed())
    }

    fn rest(&self) {
        time::wfe_for_a_tick();
    }

    fn firmware_off(&self, cpu: &Cpu) -> Result<(), ErrorCode> {
        log::debug!("cpu {}: leaves by CPU_OFF", cpu.index);
        self.gic.cpu_offline(cpu.mpidr);
        Err(firmware::error_code(firmware::cpu_off()))
    }

    fn teardown_at_off(&self, cpu: &Cpu, heir: Option<&Cpu>) {
        if let Some(heir) = heir {
            self.gic.move_shared(cpu.mpidr, heir.mpidr);
        }
        crash_interrupt::leave(self, cpu);
        walk(self, cpu, Phase::Private, true);
    }
}

/// The boot CPU gathers all others, and takes them and loads the next kernel if what was asked for holds;
/// returns where that begins. Where neither the next kernel nor the old one can go on, the machine is reset.
///
/// # Errors
///
/// [`InvalidRequest`]: the guest goes on where it was.
// A function by itself, so that a debugger can stop a CPU that begins one.
#[inline(never)]
pub fn take_over(machine: &Machine, cpu: &Cpu, closed: Closed) -> Result<Start, InvalidRequest> {
    match phases::take_over(machine, cpu, closed) {
        Ok(End::Next(start)) => {
            machine.takeover.times.entered.store(time::now(), Release);
            Ok(start)
        }
        Ok(End::Refused(why)) => Err(why),
        Err(failure) => reset(machine, failure),
    }
}

fn walk(machine: &Machine, cpu: &Cpu, phase: Phase, at_off: bool) {
    let serially = |step: &dyn Fn() -> Result<(), HwError>| {
        let _serial = machine.takeover.serial.lock();
        step()
    };
    let failed = |name, error| {
        if !machine.takeover.rendezvous.is_closed() {
            let level = cpu.exits.complaint();
            log::log!(level, "cpu {}: step \"{name}\" failed: {error}", cpu.index);
            return;
        }
        machine.takeover.note_trouble();
        let mut failed = cpu.failed.lock();
        failed.count += 1;
        failed.first.get_or_insert((name, error));
    };
    let options = WalkOptions {
        serial: machine.options.teardown == Teardown::Serial,
        at_off,
        skip_steps: machine.options.skip_steps.as_deref(),
    };
    steps::walk(&TABLE, phase, options, cpu, machine, serially, failed);
}

fn reset(machine: &Machine, why: phases::Failure<NoNextKernel>) -> ! {
    // The last lines are for the console, whoever's that is.
    console::show(true);
    log::error!("{why}; resetting the machine");
    report::print_trouble(machine);
    let refusal = firmware::system_reset();
    panic!("firmware refuses SYSTEM_RESET: {refusal}");
}
