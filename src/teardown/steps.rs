//! The table of steps.

use super::copy;
use super::error::StepError;
use super::table::{Phase, Step};
use crate::arch::tlb;
use crate::cpu::Cpu;
use crate::machine::Machine;
use crate::options::Teardown;
use crate::{pmu, vcpu};
use core::sync::atomic::Ordering::Relaxed;

macro_rules! step {
    ($name:literal, $phase:ident, $teardown:expr) => {
        Step {
            name: $name,
            phase: Phase::$phase,
            parallel: true,
            at_off: true,
            teardown: $teardown,
        }
    };
}

/// All steps, each in the order in which it is taken within its phase.
pub static TABLE: [Step<Cpu>; 20] = [
    // Phase 1: ONLINE to TEARDOWN_CPU. What raises interrupts first, then what takes them.
    step!("timers", Own, |_| vcpu::timer::reset()),
    step!("pmu", Own, |_| pmu::reset()),
    Step {
        at_off: false,
        ..step!("cluster-pmu", Own, cluster_pmu)
    },
    step!("trace", Own, |_| vcpu::trace::reset(
        Machine::get().devices.trace
    )),
    step!("debug", Own, |_| vcpu::debug::reset()),
    step!("vectors", Own, |_| vcpu::vector::reset()),
    step!("pauth", Own, |_| vcpu::pauth::reset()),
    step!("el1-registers", Own, |_| vcpu::reset::reset_el1()),
    step!("interrupt-routes", Own, interrupt_routes),
    step!("cpu-interface", Own, |_| Machine::get()
        .gic
        .reset_cpu_interface()),
    step!("redistributor", Own, |cpu| Machine::get()
        .gic
        .reset_private(cpu.mpidr)),
    // A kernel sets LPIs up once for each CPU, and finds them as they were when it turns the CPU on
    // again (Linux, `its_cpu_init_lpis()`).
    Step {
        at_off: false,
        ..step!("lpis", Own, |cpu| Machine::get().gic.reset_lpis(cpu.mpidr))
    },
    step!("translations", Own, translations),
    // Phase 2, on the boot CPU.
    step!("distributor", Sync, |cpu| Machine::get()
        .gic
        .reset_distributor(cpu.mpidr)),
    step!("absent-cpus", Sync, absent_cpus),
    step!("its", Sync, |_| Machine::get().gic.reset_its()),
    // Where LPIs cannot be switched off, they are disabled one by one.
    step!("kept-lpis", Sync, |_| {
        Machine::get().gic.disable_kept_lpis();
        Ok(())
    }),
    // Phase 3: TEARDOWN_CPU to IDLE_DEAD.
    step!("lpi-cache", Load, |cpu| Machine::get()
        .gic
        .forget_lpis(cpu.mpidr)),
    step!("sgis", Load, |cpu| Machine::get().gic.drop_sgis(cpu.mpidr)),
    step!("copy", Load, copy::share),
];

/// While CPUs go one by one, interrupts still come: those of this CPU go to one that stays.
///
/// Where all go at once, nobody stays but the boot CPU, and phase 2 gives it all of them.
fn interrupt_routes(cpu: &Cpu) -> Result<(), StepError> {
    let machine = Machine::get();
    let boot_cpu = machine.takeover.boot_cpu.load(Relaxed) as usize;
    if machine.options.teardown == Teardown::Serial
        && cpu.index != boot_cpu
        && let Some(boot_cpu) = machine.cpus.get(boot_cpu)
    {
        machine.gic.move_shared(cpu.mpidr, boot_cpu.mpidr);
    }
    Ok(())
}

/// The PMU of the CPU's cluster; of the CPUs of a cluster each clears it, as none knows of the others.
fn cluster_pmu(_: &Cpu) -> Result<(), StepError> {
    if !Machine::get().devices.dsu_pmu {
        return Ok(());
    }
    // SAFETY: The device tree has a node for it, which the kernel uses too.
    unsafe { pmu::reset_cluster() }
}

/// What the old kernel left, from outside, in the redistributors of CPUs that never ran.
fn absent_cpus(_: &Cpu) -> Result<(), StepError> {
    let machine = Machine::get();
    let mut result = Ok(());
    if machine.takeover.rendezvous.has_absent() {
        let absent = |cpu: &&Cpu| !cpu.member.arrival().is_expected();
        for cpu in machine.cpus.iter().filter(absent) {
            result = result
                .and(machine.gic.reset_private(cpu.mpidr))
                .and(machine.gic.reset_lpis(cpu.mpidr))
                .and(machine.gic.drop_sgis(cpu.mpidr));
        }
    }
    result
}

fn translations(_: &Cpu) -> Result<(), StepError> {
    tlb::invalidate_el1_local();
    tlb::invalidate_instructions_local();
    Ok(())
}
