// SPDX-License-Identifier: Apache-2.0
//! The command `baton` in the Linux guest, which shows what it prints.

use baton_qemu::{Machine, Task};
use baton_tests::{Boot, Scratch, boot, boot_command, machine, uefi_machine};

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
    boot.expect_lines(2, &format!("guest: command: {line}"));
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

/// Expects the log of both kernels to be that of the monitor from its first line on, with what it said of each kernel
/// while that ran: `said`.
#[track_caller]
fn expect_whole_log(boot: &Boot, said: &[&str]) {
    let logs = boot
        .lines
        .iter()
        .filter_map(|line| line.text.split_once("guest: log: "));
    let lines: Vec<&str> = logs.map(|(_, line)| line).collect();
    let is_first = |line: &&&str| line.starts_with("Baton ") && line.contains(", monitor at ");
    let firsts = lines.iter().filter(is_first).count();
    if firsts != 2 || !lines.first().is_some_and(|line| is_first(&line)) {
        boot.fail(format_args!(
            "expected 2 logs from the monitor's first line on, seen {firsts} in {lines:#?}"
        ));
    }
    for what in said {
        let count = lines.iter().filter(|line| line.contains(what)).count();
        // The second kernel is shown what was said of the first one too.
        if count != 3 {
            boot.fail(format_args!(
                "expected \"{what}\" once in the first log and 2 times in the second, seen {count} times in {lines:#?}"
            ));
        }
    }
}

const HOOKED: &str = "hooks: kernel at ";
const READ: &str = " is in the monitor's memory (ELR ";
const WROTE: &str = ": guest's write to the log (ELR ";

/// A file of the tree's memory shows the log. Root may not write to it.
#[test]
fn tells_of_baton_on_a_machine_of_a_tree() {
    let mut machine = machine(4);
    machine.baton = "wait=2000".into();
    let boot = run(&machine);
    expect_carried(&boot);
    expect_in_both(&boot, "options     wait=2000");
    expect_whole_log(&boot, &[HOOKED, READ, WROTE]);
}

/// ACPI's table says it.
#[test]
fn tells_of_baton_on_a_machine_of_acpi() {
    let scratch = Scratch::new("command-acpi");
    let boot = run(&uefi_machine(4, &scratch));
    expect_carried(&boot);
    expect_whole_log(&boot, &[HOOKED, READ]);
}

#[test]
fn tells_that_hooks_are_off() {
    let mut machine = machine(4);
    machine.baton = "hooks=off".into();
    let boot = run(&machine);
    expect_in_both(
        &boot,
        "hooks       none, kexec takes the kernel's own path: hooks=off",
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

/// What the command must say on standard error, in one line, and nothing else.
#[track_caller]
fn expect_refused(boot: &Boot, words: &str, why: &str) {
    let line = boot.expect(&format!("guest: ask: {words} ends with "));
    let expected = format!("ends with 3, lines: 1: baton: {why}");
    if !line.contains(&expected) {
        boot.fail(format_args!("expected \"{expected}\", seen \"{line}\""));
    }
}

/// Linux without Baton, at EL2 or not, in which the command is asked.
fn asked(words: &[&str], line: &str, el2: bool) -> Boot {
    let machine = Machine {
        monitor: None,
        ..machine(2)
    };
    let ask = words.join(",").replace(' ', "+");
    let guest = Task::PowerOff.guest(&format!("baton.ask={ask} {line}"));
    let command = machine.command_of_kernel(&guest, el2);
    let boot = boot_command(command.unwrap_or_else(|error| panic!("{error}")), 200);
    boot.expect_end();
    boot
}

#[test]
fn refuses_in_one_line_what_a_virtual_machine_cannot() {
    let asks = [
        (
            "try",
            "the kernel was started at EL1: this is a virtual machine",
        ),
        (
            "try -n",
            "the kernel was started at EL1: this is a virtual machine",
        ),
        (
            "install",
            "the kernel was started at EL1: this is a virtual machine",
        ),
        ("install --confirm", "this boot is not under Baton"),
        ("uninstall", "neither UEFI nor an extlinux.conf"),
        ("kexec", "kexec is switched off until the next boot"),
        ("report", "this kernel runs without Baton"),
        ("log", "this kernel runs without Baton"),
    ];
    let needs_root = [
        "try",
        "try -n",
        "install",
        "install --confirm",
        "uninstall",
        "uninstall -n",
        "kexec",
    ];
    let by_nobody: Vec<String> = needs_root.map(|words| format!("nobody:{words}")).into();
    let mut words: Vec<&str> = asks.iter().map(|(words, _)| *words).collect();
    words.extend(by_nobody.iter().map(String::as_str));
    words.extend(["nobody:status", "nobody:report", "nobody:uninstall --check"]);
    let boot = asked(&words, "sysctl.kernel.kexec_load_disabled=1", false);
    for (words, why) in asks {
        expect_refused(&boot, &format!("root: baton {words}"), why);
    }
    for words in needs_root {
        expect_refused(&boot, &format!("nobody: baton {words}"), "this needs root");
    }
    // They need no root: there is nothing of Baton's, and it is not installed.
    boot.expect("guest: ask: nobody: baton status ends with 2, lines: 0:");
    boot.expect("guest: ask: nobody: baton uninstall --check ends with 1, lines: 0:");
    expect_refused(
        &boot,
        "nobody: baton report",
        "this kernel runs without Baton",
    );
}

#[test]
fn refuses_in_one_line_what_lockdown_forbids() {
    let words = ["try", "try -n -o log", "install", "install -n"];
    let boot = asked(&words, "lockdown=integrity", true);
    for words in ["try", "try -n -o log"] {
        let why = "the kernel is locked down (integrity)";
        expect_refused(&boot, &format!("root: baton {words}"), why);
    }
    for words in ["install", "install -n"] {
        let why = "neither UEFI nor an extlinux.conf";
        expect_refused(&boot, &format!("root: baton {words}"), why);
    }
}
