//! The table of steps.

use super::copy;
use super::error::StepError;
use super::table::{Phase, Step};
use crate::arch::tlb;
use crate::cpu::Cpu;
use crate::gic::Gic;
use crate::gic::v3::cpu_interface;
use crate::machine::Machine;
use crate::{pmu, vcpu};

macro_rules! step {
    ($name:literal, $phase:ident, $teardown:expr) => {
        Step {
            name: $name,
            phase: Phase::$phase,
            parallel: true,
            teardown: $teardown,
        }
    };
}

/// All steps, each in the order in which it is taken within its phase.
pub static TABLE: [Step<Cpu>; 9] = [
    // Phase 1: ONLINE to TEARDOWN_CPU. Interrupts first, so that nothing new comes in.
    step!("timers", Own, |_| vcpu::timer::reset()),
    step!("redistributor", Own, redistributor),
    step!("CPU interface", Own, |_| cpu_interface::reset()),
    step!("PMU", Own, |_| pmu::reset()),
    step!("EL1 registers", Own, |_| vcpu::reset::reset_cpu()),
    step!("translations", Own, translations),
    // Phase 2, on the boot CPU.
    step!("distributor", Sync, distributor),
    step!("ITS", Sync, its),
    // Phase 3: TEARDOWN_CPU to IDLE_DEAD.
    step!("copy", Load, copy::share),
];

fn redistributor(cpu: &Cpu) -> Result<(), StepError> {
    match &Machine::get().gic {
        Gic::V3(gic) => match gic.frames.of(cpu.mpidr) {
            Some(frame) => frame.lock().reset(),
            None => Err(StepError::Absent {
                what: "redistributor",
                id: cpu.mpidr,
            }),
        },
    }
}

fn translations(_: &Cpu) -> Result<(), StepError> {
    tlb::invalidate_el1_local();
    tlb::invalidate_instructions_local();
    Ok(())
}

fn distributor(cpu: &Cpu) -> Result<(), StepError> {
    match &Machine::get().gic {
        Gic::V3(gic) => gic.distributor.lock().reset(cpu.mpidr),
    }
}

fn its(_: &Cpu) -> Result<(), StepError> {
    match &Machine::get().gic {
        Gic::V3(gic) => gic
            .its
            .iter()
            .map(|its| its.lock().reset())
            .fold(Ok(()), Result::and),
    }
}
