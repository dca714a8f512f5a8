// SPDX-License-Identifier: Apache-2.0
//! The command `baton` in the Linux guest, which shows what it prints.

use baton_qemu::{Machine, Task};
use baton_tests::{Boot, Scratch, boot, machine, uefi_machine};

/// Runs Linux, and the kernel that it kexecs, each of which asks the command.
fn run(machine: &Machine) -> Boot {
    let task = Task::Kexec {
        times: 1,
        checks: false,
    };
    let boot = boot(machine, &task.guest("baton.command=on"), 400);
    boot.expect_end();
    boot
}

/// Expects what `baton status` says in both kernels.
#[track_caller]
fn expect_in_both(boot: &Boot, line: &str) {
    let seen = boot.all(&format!("guest: command: {line}")).count();
    if seen != 2 {
        boot.fail(format_args!(
            "expected \"{line}\" 2 times, seen {seen} times"
        ));
    }
}

#[track_caller]
fn expect_carried(boot: &Boot) {
    expect_in_both(boot, "hooks       in place: the next kexec is Baton's");
    expect_in_both(boot, "status ends with 0");
    boot.expect("guest: command: generation  0");
    boot.expect("guest: command: no reboot yet");
    boot.expect("guest: command: generation  1");
    boot.expect(
        "guest: command: reboot 1 by kernel_kexec(): 4 of 4 CPUs taken, 0 missing, 0 steps failed",
    );
}

/// The hooks are seen in the kernel's memory.
#[test]
fn tells_of_baton_on_a_machine_of_a_tree() {
    let mut machine = machine(4);
    machine.baton = "wait=2000".into();
    let boot = run(&machine);
    expect_carried(&boot);
    expect_in_both(&boot, "options     wait=2000");
}

/// ACPI's table says it.
#[test]
fn tells_of_baton_on_a_machine_of_acpi() {
    let scratch = Scratch::new("command-acpi");
    expect_carried(&run(&uefi_machine(4, &scratch)));
}

#[test]
fn tells_that_hooks_are_off() {
    let mut machine = machine(4);
    machine.baton = "hooks=off".into();
    let boot = run(&machine);
    expect_in_both(
        &boot,
        "hooks       none, kexec takes the kernel's own path:",
    );
    expect_in_both(&boot, "status ends with 1");
}

#[test]
fn tells_that_there_is_no_baton() {
    let machine = Machine {
        monitor: None,
        its: false,
        ..machine(4)
    };
    let boot = run(&machine);
    expect_in_both(&boot, "this kernel runs without Baton");
    expect_in_both(&boot, "status ends with 2");
}
