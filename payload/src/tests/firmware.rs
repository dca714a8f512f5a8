// SPDX-License-Identifier: Apache-2.0
//! `test=refused-on`, `test=late-on`, `test=no-reset`: firmware that fails. A debugger gives its
//! answers.

use super::kexec;
use crate::call::{self, code};
use crate::console::say;
use crate::context::Context;
use crate::cpu::Cpu;
use crate::cpus::wait_for;
use crate::outcome::{Outcome, ensure, expect, fail};
use smccc::psci::PSCI_SYSTEM_RESET;

/// Firmware refuses the first CPU_ON; the guest is told so, and may try again.
pub fn refused_on(context: &Context) -> Outcome {
    if let (0, Some(cpu)) = (context.generation, context.cpus.others().next()) {
        expect("CPU_ON that is refused", code::DENIED, cpu.turn_on())?;
        expect(
            "AFFINITY_INFO after that",
            code::AFFINITY_OFF,
            cpu.affinity_info(),
        )?;
        say!("CPU_ON was refused; trying again");
    }
    kexec::run(context)
}

/// Firmware does not return from a CPU_ON, and another CPU reboots the machine meanwhile.
pub fn late_on(context: &Context) -> Outcome {
    fn turn_on(_: &'static Cpu, target: u64) -> u64 {
        // SAFETY: `late_on` passes the address of an element of the static array of CPUs.
        unsafe { &*(target as *const Cpu) }.turn_on() as u64
    }
    if context.generation == 0 {
        let mut others = context.cpus.others();
        let (Some(caller), Some(target)) = (others.next(), others.next()) else {
            fail!("expected three CPUs, seen fewer")
        };
        context.cpus.bring_up([caller].into_iter())?;
        caller.start(turn_on, &raw const *target as u64);
        wait_for([target].into_iter(), "to be ON_PENDING", |cpu| {
            cpu.affinity_info() == code::AFFINITY_ON_PENDING
        })?;
        let seen = target.turn_on();
        expect("CPU_ON of a CPU that is ON_PENDING", code::ON_PENDING, seen)?;
        say!("CPU_ON is under way");
        return crate::kexec::prepare(context, context.cpus.boot, 0)?.go();
    }
    kexec::run(context)
}

/// Firmware returns from SYSTEM_RESET; the guest is told that it failed, and goes on.
pub fn no_reset(context: &Context) -> Outcome {
    if context.generation == 0 {
        let seen = call::psci(PSCI_SYSTEM_RESET, [0; 3]);
        ensure!(
            seen == code::INTERNAL_FAILURE,
            "SYSTEM_RESET that returns: expected {}, seen {seen}",
            code::INTERNAL_FAILURE
        );
    }
    kexec::run(context)
}
