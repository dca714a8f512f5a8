// SPDX-License-Identifier: Apache-2.0
//! Requests to reboot that come at the wrong moment, or from where none may come.

use super::debugged::{Debugged, STARTED, await_cpu_at, await_stop};
use super::{SECONDS, SMP, expect_next_kernel};
use crate::probe;
use baton_qemu::{Disk, Machine, Task, paths};
use baton_tests::debugger::{Debugger, Monitor};
use baton_tests::{boot, machine};

/// The function id of [`baton_abi::KEXEC`], as it is in x0.
const KEXEC: u64 = baton_abi::KEXEC as u64;

/// Two CPUs ask at once: one wins, the other is taken, or told that it is late.
#[test]
fn asked_for_twice() {
    asked_for_twice_on(&machine(SMP));
}

#[track_caller]
pub fn asked_for_twice_on(machine: &Machine) {
    let boot = boot(
        machine,
        &probe::guest("test=kexec caller=two generations=2"),
        SECONDS,
    );
    expect_next_kernel(&boot, 0);
}

#[test]
fn hooks_at_the_wrong_place() {
    let boot = boot(&machine(SMP), &probe::guest("test=hooks"), SECONDS);
    boot.expect("probe: both hooks are undefined here");
    expect_next_kernel(&boot, 0);
}

/// Those that are patched in Linux, made by a process of it, which gets SIGILL, and by the next kernel
/// before the monitor has looked at that.
#[test]
fn hooks_from_user_space_and_from_the_next_kernel() {
    let mut machine = machine(SMP);
    machine.disks = vec![Disk::kernels(paths::probe())];
    let boot = boot(&machine, &Task::Audit.guest("baton.probe=hooks"), 600);
    boot.expect("baton: hooks: kernel at ");
    boot.expect("guest: HVC in user space: status 132");
    boot.expect("baton: reboot 1 by kernel_kexec(): 80 of 80 CPUs taken");
    boot.expect("probe: both hooks are undefined here");
    boot.expect("probe: PASS");
    boot.expect_no("baton: error: ");
    boot.expect_end();
}

/// Two CPUs ask. One of them is held inside the monitor, before it is refused, until the takeover that
/// the other one has asked for copies.
#[test]
fn asked_for_during_the_copy() {
    let boot = Debugged::new("copy")
        .at(STARTED, |debugger, monitor| {
            let second = await_kexec_call(debugger, monitor);
            let copy = monitor.function("baton::takeover::steps::copy_share");
            debugger.break_at(copy);
            debugger.go_on_without(SMP, &[second]);
            await_stop(debugger, "a CPU that copies");
            debugger.do_not_break_at(copy);
            debugger.go_on_without(SMP, &[]);
        })
        .run("test=kexec caller=two missing=1 late=yes");
    boot.expect("KEXEC refused: another CPU is rebooting the machine");
    boot.expect(": arrived late; it is OFF");
    expect_next_kernel(&boot, 1);
    boot.expect("probe: 80 of 80 CPUs are up");
}

/// Lets the machine run until a CPU is inside the monitor with a KEXEC call, and returns it.
fn await_kexec_call(debugger: &mut Debugger, monitor: &Monitor) -> u32 {
    let dispatch = monitor.function("baton::exit::smccc::dispatch");
    await_cpu_at(
        debugger,
        &[dispatch],
        &[],
        "a KEXEC call",
        |debugger, cpu| {
            // The third argument is the frame, which begins with x0.
            let frame = debugger.register(cpu, 2);
            debugger.word(cpu, frame) == KEXEC
        },
    )
}
