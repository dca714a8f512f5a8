//! `test=routes`: no shared interrupt is routed to a CPU that is off (PSCI, DEN0022, 5.5: a CPU
//! that is turned off must not have interrupts of its own to handle).

use super::Context;
use crate::audit::interrupts::Controller;
use crate::call::code;
use crate::console::say;
use crate::cpu::wait_for;
use crate::outcome::{Outcome, ensure, fail};
use crate::{gic, states};

/// Routes SPIs to all CPUs, turns one after another off, and looks where the SPIs lead then.
pub fn run(context: &Context) -> Outcome {
    let cpus = context.cpus;
    let Some(gic) = &context.machine.gic else {
        fail!("expected a GICv3, seen none")
    };
    gic::init(gic, cpus.all)?;
    let controller = Controller::new(gic);
    cpus.bring_up(cpus.others())?;
    controller.spread_routes(cpus.all);
    for cpu in cpus.others() {
        let mpidr = cpu.mpidr();
        ensure!(
            controller.routed_to(mpidr).is_some(),
            "expected an SPI of CPU {mpidr:#x}, seen none"
        );
        cpu.start(states::off, 0);
        wait_for([cpu].into_iter(), "to be off", |cpu| {
            cpu.affinity_info() == code::AFFINITY_OFF
        })?;
        if let Some(spi) = controller.routed_to(mpidr) {
            fail!("CPU {mpidr:#x} is off: expected no SPI of its, seen {spi}");
        }
    }
    say!(
        "{} CPUs are off, no SPI leads to one",
        cpus.others().count()
    );
    Ok(())
}
