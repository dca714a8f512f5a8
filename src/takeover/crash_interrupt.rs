// SPDX-License-Identifier: Apache-2.0
//! The interrupt by which a kernel that hangs is ended for its crash kernel (`crash-irq=`).
//!
//! A kernel can mask every interrupt that is its own, and to take one at EL2 instead, all would have to exit. But
//! firmware at EL3 takes those of group 0 whatever a CPU below it has masked, and with SDEI it lends its clients one:
//! it gets the interrupt, and calls the monitor. The guest's own interrupts never exit.

use crate::firmware::sdei;
use crate::machine::cpu::Cpu;
use crate::machine::{CrashInterrupt, Machine};
use baton_core::hw_error::HwError;
use baton_core::options::{Crash, Hooks};
use baton_core::sdei::{Event, SdeiError};
use core::sync::atomic::Ordering::Relaxed;
use thiserror::Error;

/// Why there is no crash interrupt.
#[derive(Debug, Error)]
enum NotArmed {
    #[error("with hooks=off and crash=off no crash kernel is known")]
    Off,
    #[error("there is no such interrupt: {0}")]
    NoInterrupt(#[from] HwError),
    #[error("{0}: {1}")]
    Firmware(&'static str, SdeiError),
}

/// Arms the interrupt of `crash-irq=`, if there is that option. To be called by the boot CPU, `cpu`, before a guest
/// runs.
pub fn arm(machine: &Machine, cpu: &Cpu) {
    let Some(intid) = machine.options.crash_irq else {
        return;
    };
    match event_for(machine, cpu, intid) {
        Ok(event) => {
            log::info!("crash interrupt: {intid}, by event {event} of SDEI");
            *machine.crash_interrupt.lock() = Some(CrashInterrupt {
                event,
                cpu: cpu.index,
            });
        }
        Err(why) => log::warn!("crash-irq={intid} ignored: {why}"),
    }
}

fn event_for(machine: &Machine, cpu: &Cpu, intid: u32) -> Result<Event, NotArmed> {
    let call = |name| move |error| NotArmed::Firmware(name, error);
    if machine.options.hooks == Hooks::Off || machine.options.crash == Crash::Off {
        return Err(NotArmed::Off);
    }
    sdei::ask_version().map_err(call("SDEI_VERSION"))?;
    let event = sdei::bind(intid).map_err(call("SDEI_INTERRUPT_BIND"))?;
    // Once for each time that the device signals: the guest goes on with an interrupt that it has no part in.
    machine.gic.trigger_by_edge(intid)?;
    sdei::register(event, cpu.mpidr).map_err(call("SDEI_EVENT_REGISTER"))?;
    sdei::enable(event).map_err(call("SDEI_EVENT_ENABLE"))?;
    sdei::unmask().map_err(call("SDEI_PE_UNMASK"))?;
    Ok(event)
}

/// The CPU that runs this, `cpu`, has come from firmware: it may get the interrupt.
pub fn unmask(machine: &Machine, cpu: &Cpu) {
    if machine.crash_interrupt.lock().is_some()
        && let Err(why) = sdei::unmask()
    {
        log::warn!("cpu {}: SDEI_PE_UNMASK: {why}", cpu.index);
    }
}

/// Has the interrupt come to `cpu` from now on, which is on.
pub fn follow(machine: &Machine, cpu: &Cpu) {
    if let Some(interrupt) = &mut *machine.crash_interrupt.lock() {
        route(interrupt, cpu);
    }
}

/// `cpu`, which runs this, goes off: if the interrupt comes to it, it comes to another CPU from now on.
pub fn leave(machine: &Machine, cpu: &Cpu) {
    if let Some(interrupt) = &mut *machine.crash_interrupt.lock() {
        let goes_on = machine.cpus.get(interrupt.cpu);
        let heir = machine.cpus.iter().find(|other| other.power.stays_on());
        // Its last heir may go off just now, too.
        if !goes_on.is_some_and(|cpu| cpu.power.stays_on())
            && let Some(heir) = heir
        {
            route(interrupt, heir);
        }
    }
    if cpu.crash_asked.swap(false, Relaxed) {
        log::warn!(
            "crash interrupt: it came while cpu {} went off, and is lost",
            cpu.index
        );
    }
}

fn route(interrupt: &mut CrashInterrupt, cpu: &Cpu) {
    if interrupt.cpu == cpu.index {
        return;
    }
    match sdei::route(interrupt.event, cpu.mpidr) {
        Ok(()) => interrupt.cpu = cpu.index,
        Err(why) => log::warn!(
            "crash interrupt: it stays with cpu {}: {why}",
            interrupt.cpu
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::fake::answer_calls;
    use crate::machine::fake::Bench;
    use alloc::rc::Rc;
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use baton_core::options::Options;
    use baton_core::sdei::id;
    use core::cell::RefCell;

    fn bench(line: &str) -> Bench {
        Bench::new(Options::parse(line).0)
    }

    type Calls = Rc<RefCell<Vec<(u32, [u64; 3])>>>;

    /// Firmware that binds an interrupt to event 804, and denies `refused`; returns what it was asked.
    fn firmware(refused: u32) -> Calls {
        let calls = Calls::default();
        let seen = calls.clone();
        answer_calls(move |function, arguments| {
            let function = function as u32;
            seen.borrow_mut().push((function, arguments));
            let x0 = match function {
                _ if function == refused => -3i64 as u64,
                id::VERSION => 1 << 48,
                id::INTERRUPT_BIND => 804,
                _ => 0,
            };
            [x0, 0, 0, 0]
        });
        calls
    }

    #[test]
    fn what_firmware_denies_is_named() {
        let bench = bench("crash-irq=34");
        let cpu = &bench.machine.cpus[0];
        for (refused, name) in [
            (id::VERSION, "SDEI_VERSION"),
            (id::INTERRUPT_BIND, "SDEI_INTERRUPT_BIND"),
            (id::EVENT_REGISTER, "SDEI_EVENT_REGISTER"),
            (id::EVENT_ENABLE, "SDEI_EVENT_ENABLE"),
            (id::PE_UNMASK, "SDEI_PE_UNMASK"),
        ] {
            firmware(refused);
            let why = event_for(&bench.machine, cpu, 34).expect_err(name);
            assert_eq!(why.to_string(), alloc::format!("{name}: DENIED"));
        }
        firmware(0);
        assert_eq!(event_for(&bench.machine, cpu, 34).ok(), Some(Event(804)));
        let why = event_for(&bench.machine, cpu, 1019).expect_err("no SPI");
        assert!(matches!(why, NotArmed::NoInterrupt(_)), "{why}");
    }

    #[test]
    fn nothing_is_asked_of_firmware_without_the_option_or_without_hooks() {
        for line in ["", "crash-irq=34 hooks=off", "crash-irq=34 crash=off"] {
            let bench = bench(line);
            let calls = firmware(0);
            arm(&bench.machine, &bench.machine.cpus[0]);
            unmask(&bench.machine, &bench.machine.cpus[0]);
            assert!(bench.machine.crash_interrupt.lock().is_none(), "{line}");
            assert_eq!(*calls.borrow(), [], "{line}");
        }
    }

    #[test]
    fn the_interrupt_goes_to_a_cpu_that_is_on() {
        let bench = bench("crash-irq=34");
        let [first, second] = &*bench.machine.cpus else {
            panic!("two CPUs");
        };
        let calls = firmware(0);
        first.power.set_on();
        arm(&bench.machine, first);
        let goes_to = || bench.machine.crash_interrupt.lock().map(|it| it.cpu);
        // No other CPU is on.
        first.power.mark_going_off();
        leave(&bench.machine, first);
        assert_eq!(goes_to(), Some(0));
        second.power.set_on();
        calls.borrow_mut().clear();
        leave(&bench.machine, first);
        assert_eq!(goes_to(), Some(1));
        let expected = [
            (id::EVENT_DISABLE, [804, 0, 0]),
            (id::EVENT_ROUTING_SET, [804, 1, second.mpidr]),
            (id::EVENT_ENABLE, [804, 0, 0]),
        ];
        assert_eq!(*calls.borrow(), expected);
        // It stays where it is, as long as that CPU does.
        calls.borrow_mut().clear();
        follow(&bench.machine, second);
        leave(&bench.machine, first);
        assert_eq!(*calls.borrow(), []);
        // Where firmware denies it, it is where it was.
        firmware(id::EVENT_ROUTING_SET);
        follow(&bench.machine, first);
        assert_eq!(goes_to(), Some(1));
    }
}
