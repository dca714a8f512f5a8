// SPDX-License-Identifier: Apache-2.0
//! The monitor panics: the machine is reset, and where it cannot be, no CPU goes on without a monitor.

use super::debugged::{
    DENIED, Debugged, READY, answer_for_firmware, await_firmware_call, await_stop,
};
use super::{SMP, started};
use baton_qemu::End;
use baton_tests::debugger::{CPSR, Debugger, Monitor, PC};
use std::cell::{Cell, RefCell};
use std::thread;
use std::time::Duration;

/// Function ids of PSCI (DEN0022).
const SYSTEM_OFF: u64 = 0x8400_0008;
pub const SYSTEM_RESET: u64 = 0x8400_0009;

/// Sends a CPU that has come into the monitor to where no code is, and returns it.
fn derail(debugger: &mut Debugger, monitor: &Monitor, held: &[u32]) -> u32 {
    let exit = monitor.function("exit_from_guest");
    debugger.break_at(exit);
    debugger.go_on_without(SMP, held);
    let cpu = await_stop(debugger, "a CPU in the monitor");
    debugger.do_not_break_at(exit);
    debugger.set_register(cpu, PC, 0x10);
    cpu
}

/// The CPUs fault all the time, which takes them into the monitor; the boot CPU waits.
#[test]
fn a_panic_resets_the_machine() {
    resets_the_machine(|| Debugged::new("panic"));
}

#[track_caller]
pub fn resets_the_machine<'a>(machine: impl FnOnce() -> Debugged<'a>) {
    let derailed = Cell::new(None);
    let boot = machine()
        .at(READY, |debugger, monitor| {
            derailed.set(Some(derail(debugger, monitor, &[])));
            debugger.go_on_without(SMP, &[]);
        })
        .run("test=kexec state=fault-loop held=1");
    let Some(cpu) = derailed.get() else {
        boot.fail("expected CPUs that fault, seen none")
    };
    boot.expect_error(&[
        &format!("cpu {cpu}: panicked at src/exit/vectors.rs:"),
        "exception in the monitor: vector 4",
        "ELR_EL2 0x10; resetting the machine",
    ]);
    if !matches!(boot.end, End::Reset) {
        boot.fail(format_args!("expected a reset, seen: {}", boot.end));
    }
}

/// Where firmware neither resets nor switches off, no CPU goes on without a monitor: those that spin
/// do not come into it by themselves. The boot CPU panics, as it asks for the reboot.
#[test]
fn a_panic_stops_all_cpus_where_firmware_does_not() {
    const HELD: u32 = 1;
    let running = RefCell::new(None);
    let boot = Debugged::new("panic-stops")
        .at(READY, |debugger, monitor| {
            derail(debugger, monitor, &[HELD]);
            for function in [SYSTEM_RESET, SYSTEM_OFF] {
                let called = |id, _| id == function;
                let cpu = await_firmware_call(debugger, monitor, &[HELD], called);
                answer_for_firmware(debugger, cpu, DENIED);
            }
            debugger.go_on_without(SMP, &[]);
            thread::sleep(Duration::from_secs(2));
            debugger.stop();
            let in_guest = |cpu: &u32| debugger.register(*cpu, CPSR) >> 2 & 3 != 2;
            running.replace(Some(started(SMP).filter(in_guest).collect::<Vec<_>>()));
            debugger.end();
        })
        .run(&format!("test=kexec state=masked-loop held={HELD}"));
    boot.expect("exception in the monitor: vector 4");
    boot.expect("firmware refuses SYSTEM_RESET: ");
    let running = running.into_inner();
    if running.as_ref().is_none_or(|cpus| !cpus.is_empty()) {
        boot.fail(format_args!(
            "expected all CPUs in the monitor, seen {running:?} in the guest"
        ));
    }
}
