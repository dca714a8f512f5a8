// SPDX-License-Identifier: Apache-2.0
//! A machine with a debugger, which holds CPUs and answers for firmware.

use super::{SECONDS, SMP};
use crate::probe;
use baton_qemu::Machine;
use baton_tests::debugger::{Debugger, Monitor, PC, Stub};
use baton_tests::{Boot, Scratch, boot_observed, machine, uefi_machine};

/// The monitor says where it is, in its first line.
pub const STARTED: &str = "CPUs, monitor at";
/// The probe waits until the debugger has done its part.
pub const READY: &str = "waiting for a debugger to hold CPU";
/// The next kernel waits for the CPUs that the report names as missing.
pub const AWAITS_LOST: &str = "waiting for the lost CPUs";

/// Function id of CPU_ON (PSCI, DEN0022).
pub const CPU_ON: u64 = 0xc400_0003;
/// DENIED of PSCI.
pub const DENIED: u64 = -3_i64 as u64;

type Action<'a> = Box<dyn FnOnce(&mut Debugger, &Monitor) + 'a>;

/// A machine with a debugger, and what that does when a line comes on the console.
pub struct Debugged<'a> {
    machine: Machine,
    stub: Stub,
    actions: Vec<(&'static str, Action<'a>)>,
    _scratch: Scratch,
}

impl<'a> Debugged<'a> {
    pub fn new(name: &str) -> Self {
        Self::on(Scratch::new(name), machine(SMP))
    }

    /// The same on a machine that firmware starts.
    pub fn by_uefi(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let machine = uefi_machine(SMP, &scratch);
        Self::on(scratch, machine)
    }

    fn on(scratch: Scratch, mut machine: Machine) -> Self {
        let stub = Stub::add(&mut machine, &scratch);
        Self {
            machine,
            stub,
            actions: Vec::new(),
            _scratch: scratch,
        }
    }

    /// Gives the monitor a command line.
    pub fn baton(mut self, options: &str) -> Self {
        options.clone_into(&mut self.machine.baton);
        self
    }

    /// When a line has `text` in it for the first time, stops the machine and lets `act` do its part,
    /// which includes letting the machine go on.
    pub fn at(
        mut self,
        text: &'static str,
        act: impl FnOnce(&mut Debugger, &Monitor) + 'a,
    ) -> Self {
        self.actions.push((text, Box::new(act)));
        self
    }

    /// Runs the probe with a command line. The debugger stays connected to the machine's end.
    #[track_caller]
    pub fn run(self, append: &str) -> Boot {
        let mut actions = self.actions;
        let mut monitor = None;
        let mut debugger: Option<Debugger> = None;
        boot_observed(&self.machine, &probe::guest(append), SECONDS, |line| {
            monitor = monitor.take().or_else(|| Monitor::at(line));
            let Some(monitor) = &monitor else { return };
            let Some(due) = actions.iter().position(|(text, _)| line.contains(text)) else {
                return;
            };
            let (_, act) = actions.remove(due);
            // To connect stops the machine.
            let debugger = match &mut debugger {
                Some(debugger) => {
                    debugger.stop();
                    debugger
                }
                none => none.insert(self.stub.connect()),
            };
            act(debugger, monitor);
        })
    }
}

/// Waits until a CPU comes to a breakpoint.
pub fn await_stop(debugger: &mut Debugger, what: &str) -> u32 {
    let cpu = debugger.wait();
    cpu.unwrap_or_else(|| panic!("expected {what}, seen the machine's end"))
}

/// Lets the machine run, without the CPUs in `held`, until a CPU that `wanted` accepts is at one of
/// `places`, and returns that CPU; all CPUs are stopped.
pub fn await_cpu_at(
    debugger: &mut Debugger,
    places: &[u64],
    held: &[u32],
    what: &str,
    wanted: impl Fn(&mut Debugger, u32) -> bool,
) -> u32 {
    places.iter().for_each(|&place| debugger.break_at(place));
    let cpu = loop {
        debugger.go_on_without(SMP, held);
        let cpu = await_stop(debugger, what);
        if wanted(debugger, cpu) {
            break cpu;
        }
        debugger.step(cpu);
    };
    let remove = |&place| debugger.do_not_break_at(place);
    places.iter().for_each(remove);
    cpu
}

/// Lets the machine run until a CPU calls firmware with what `wanted` says of x0 and x1, and returns
/// that CPU, which has not made the call yet; all CPUs are stopped.
pub fn await_firmware_call(
    debugger: &mut Debugger,
    monitor: &Monitor,
    held: &[u32],
    wanted: impl Fn(u64, u64) -> bool,
) -> u32 {
    let calls = monitor.firmware_calls();
    await_cpu_at(
        debugger,
        &calls,
        held,
        "a call of firmware",
        |debugger, cpu| wanted(debugger.register(cpu, 0), debugger.register(cpu, 1)),
    )
}

/// Firmware returns `value` instead of doing what it was called for.
pub fn answer_for_firmware(debugger: &mut Debugger, cpu: u32, value: u64) {
    let pc = debugger.register(cpu, PC);
    debugger.set_register(cpu, 0, value);
    debugger.set_register(cpu, PC, pc + 4);
}
