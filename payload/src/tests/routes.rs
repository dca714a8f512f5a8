// SPDX-License-Identifier: Apache-2.0
//! `test=routes`: interrupts of CPUs that are turned off and on again.
//!
//! No shared interrupt stays routed to a CPU that is off. Its LPIs stay set up: Linux sets them up
//! once for each CPU, not again after a hotplug (`redist_disable_lpis()` in `irq-gic-v3-its.c`).

use crate::audit::interrupts::{self, Controller};
use crate::audit::its::Its;
use crate::call::code;
use crate::console::say;
use crate::context::Context;
use crate::cpus::wait_for;
use crate::outcome::{Outcome, ensure, expect, fail};
use crate::{gic, states};

/// Routes SPIs to all CPUs, turns one after another off, and looks where the SPIs lead then.
pub fn run(context: &Context) -> Outcome {
    let cpus = context.cpus;
    let Some(gic) = &context.machine.gic else {
        fail!("expected a GIC, seen none")
    };
    gic::init(gic, cpus.all)?;
    let controller = Controller::new(gic);
    cpus.bring_up(cpus.others())?;
    controller.spread_routes(cpus.all);
    for cpu in cpus.others() {
        let mpidr = cpu.mpidr();
        ensure!(
            controller.routed_to(cpu).is_some(),
            "expected an SPI of CPU {mpidr:#x}, seen none"
        );
        cpu.start(states::off, 0);
        wait_for([cpu].into_iter(), "to be off", |cpu| {
            cpu.affinity_info() == code::AFFINITY_OFF
        })?;
        if let Some(spi) = controller.routed_to(cpu) {
            fail!("CPU {mpidr:#x} is off: expected no SPI of its, seen {spi}");
        }
    }
    say!(
        "{} CPUs are off, no SPI leads to one",
        cpus.others().count()
    );
    match gic.its {
        Some(its) => lpis_stay(context, its),
        None => Ok(()),
    }
}

/// Sets LPIs up on all CPUs, turns them off and on, and lets each take its LPI.
fn lpis_stay(context: &Context, its: u64) -> Outcome {
    let cpus = context.cpus;
    let mut its = Its::set_up(its, context.arena, cpus.all)?;
    for cpu in cpus.others() {
        cpus.bring_up([cpu].into_iter())?;
        cpu.start(states::off, 0);
        wait_for([cpu].into_iter(), "to be off", |cpu| {
            cpu.affinity_info() == code::AFFINITY_OFF
        })?;
        cpus.bring_up([cpu].into_iter())?;
        expect(
            "private interrupts",
            0,
            cpu.run(interrupts::dirty_private, 0)?,
        )?;
        its.fire(cpu)?;
        let what = format_args!("LPI of CPU {:#x} after it was off", cpu.mpidr());
        expect(what, Its::lpi(cpu.place()), cpu.run(interrupts::take, 0)?)?;
    }
    say!(
        "{} CPUs took an LPI after they were off",
        cpus.others().count()
    );
    Ok(())
}
