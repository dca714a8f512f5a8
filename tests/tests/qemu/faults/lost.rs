// SPDX-License-Identifier: Apache-2.0
//! CPUs that do not arrive, because a debugger or firmware holds them: named, left behind, and harmless.
//! The next kernel's CPU_ON says ALREADY_ON until they come; then they are OFF, and can be turned on.

use super::debugged::{
    AWAITS_LOST, CPU_ON, DENIED, Debugged, READY, STARTED, answer_for_firmware, await_firmware_call,
};
use super::{SMP, expect_next_kernel};
use baton_tests::debugger::{Debugger, Monitor};
use std::cell::Cell;

/// The CPU that the debugger holds.
const HELD: u32 = 5;

#[test]
fn held_by_a_debugger() {
    let boot = Debugged::new("held")
        .at(READY, |debugger, _| debugger.go_on_without(SMP, &[HELD]))
        .run(&format!("test=kexec state=witness held={HELD} missing=1"));
    boot.expect("baton: warning: cpu 5 (MPIDR 0x5) did not arrive within 1000 ms: left behind");
    expect_next_kernel(&boot, 1);
    boot.expect("probe: 79 of 80 CPUs are up");
}

#[test]
fn held_by_a_debugger_and_let_go() {
    held_and_let_go(Debugged::new("let-go"));
}

#[track_caller]
pub fn held_and_let_go(machine: Debugged) {
    let append = format!("test=kexec state=witness held={HELD} missing=1 late=yes");
    let boot = machine
        .at(READY, |debugger, _| debugger.go_on_without(SMP, &[HELD]))
        .at(AWAITS_LOST, |debugger, _| debugger.go_on_without(SMP, &[]))
        .run(&append);
    boot.expect("baton: warning: cpu 5 (MPIDR 0x5) did not arrive within 1000 ms: left behind");
    boot.expect("baton: warning: cpu 5: arrived late; it is OFF");
    expect_next_kernel(&boot, 1);
    boot.expect("probe: 80 of 80 CPUs are up");
}

/// Holds the CPU that calls firmware for CPU_ON of CPU 2, before it makes the call, and returns it.
fn hold_cpu_on_of_cpu_2(debugger: &mut Debugger, monitor: &Monitor) -> u32 {
    let of_cpu_2 = |id, mpidr| id == CPU_ON && mpidr == 2;
    let cpu = await_firmware_call(debugger, monitor, &[], of_cpu_2);
    debugger.go_on_without(SMP, &[cpu]);
    cpu
}

/// The CPU that called for it, and the one that it called for, are left behind; both come later, in
/// the next generation.
#[test]
fn firmware_answers_cpu_on_late() {
    let boot = Debugged::new("late")
        .at(STARTED, |debugger, monitor| {
            hold_cpu_on_of_cpu_2(debugger, monitor);
        })
        .at(AWAITS_LOST, |debugger, _| debugger.go_on_without(SMP, &[]))
        .run("test=late-on missing=2 late=yes");
    boot.expect("baton: warning: firmware did not return from a CPU_ON within ");
    for cpu in [1, 2] {
        boot.expect(&format!(
            "baton: warning: cpu {cpu} (MPIDR {cpu:#x}) did not arrive"
        ));
        boot.expect(&format!(
            "baton: warning: cpu {cpu}: arrived late; it is OFF"
        ));
    }
    expect_next_kernel(&boot, 2);
    boot.expect("probe: 80 of 80 CPUs are up");
}

/// As above, and the answer is a refusal: the CPU that it called for never comes, and nothing of the
/// monitor's waits for it.
#[test]
fn firmware_refuses_cpu_on_late() {
    let held = Cell::new(0);
    let boot = Debugged::new("late-refusal")
        .baton("log=debug")
        .at(STARTED, |debugger, monitor| {
            held.set(hold_cpu_on_of_cpu_2(debugger, monitor));
        })
        .at(AWAITS_LOST, |debugger, _| {
            assert_eq!(
                debugger.register(held.get(), 0),
                CPU_ON,
                "x0 of the held CPU"
            );
            answer_for_firmware(debugger, held.get(), DENIED);
            debugger.go_on_without(SMP, &[]);
        })
        .run("test=late-on missing=2 late=yes generations=2");
    boot.expect("baton: warning: firmware did not return from a CPU_ON within ");
    boot.expect("baton: warning: firmware refuses CPU_ON of CPU 2: ");
    boot.expect("baton: warning: cpu 1: arrived late; it is OFF");
    boot.expect("probe: 80 of 80 CPUs are up");
    boot.expect_no("cpu 2: arrived late");
    for (generation, free) in [(1, 15), (2, 16)] {
        let line = boot.expect(&format!("baton: debug: generation {generation}: "));
        let roots = format!(", {free} of 16 stage 2 roots free");
        if !line.ends_with(&roots) {
            boot.fail(format_args!("expected \"{roots}\", seen \"{line}\""));
        }
    }
    expect_next_kernel(&boot, 2);
}
