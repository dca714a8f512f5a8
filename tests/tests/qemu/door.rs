// SPDX-License-Identifier: Apache-2.0
//! A Linux at EL2, started without the monitor, brings it up by kexec, and the same kernel goes on below it.

use baton_qemu::{Machine, Task, door, kexec, paths};
use baton_tests::{Boot, Scratch, boot_command, machine, uefi_machine};

/// Expects the kernel at EL2, the same at EL1 with the same command line, and the one that it kexecs.
#[track_caller]
fn comes_in(mut machine: Machine, scratch: &Scratch, seconds: u64) -> Boot {
    let run = door::prepare(&mut machine, &paths::linux(), &scratch.path("try"))
        .and_then(|()| door::command(&machine, &Task::Try.guest("efi=debug baton.command=on")));
    let boot = boot_command(run.unwrap_or_else(|error| panic!("{error}")), seconds);
    boot.expect_ok(door::check(&boot, machine.smp));
    boot
}

/// The kernel behind the monitor is the probe: it looks at what Linux at EL2 has left.
#[track_caller]
fn finds_nothing_of_linux(mut machine: Machine, scratch: &Scratch) {
    let run = door::prepare(&mut machine, &paths::probe(), &scratch.path("try"))
        .and_then(|()| door::command(&machine, &Task::Audit.guest("")));
    let boot = boot_command(run.unwrap_or_else(|error| panic!("{error}")), 400);
    boot.expect("CPU: All CPU(s) started at EL2");
    boot.expect(kexec::BYE);
    boot.expect("probe: PASS");
    boot.expect_no("DIFFERS");
    boot.expect_no("baton: error: ");
    boot.expect_end();
}

#[test]
fn audit_on_a_machine_of_a_tree() {
    let scratch = Scratch::new("try-audit");
    finds_nothing_of_linux(machine(4), &scratch);
}

#[test]
fn audit_on_a_machine_of_acpi() {
    let scratch = Scratch::new("try-audit-acpi");
    finds_nothing_of_linux(uefi_machine(4, &scratch), &scratch);
}

/// The kernel before leaves its ITS and LPIs on, with tables in memory that is now anybody's.
#[test]
fn try_on_a_machine_of_a_tree() {
    let scratch = Scratch::new("try-tree");
    let boot = comes_in(machine(4), &scratch, 600);
    boot.expect("a kernel that came without a takeover: GIC, LPIs and ITS are as at reset");
    boot.expect_no("Using preallocated redistributor tables");
    boot.expect("guest: tree: no reboot yet");
    expect_log_as_it_is(&boot);
}

/// Both kernels below the monitor are shown what it says while they run: the second finds the first one's lines
/// before its own.
#[track_caller]
fn expect_log_as_it_is(boot: &Boot) {
    for (of, text, expected) in [
        (
            "guest: command: ",
            "hooks       in place: the next kexec is Baton's",
            2,
        ),
        ("guest: log: ", "hooks: kernel at ", 3),
        ("guest: log: ", " is in the monitor's memory (ELR ", 3),
    ] {
        let lines = boot.all(of).filter(|line| line.text.contains(text));
        let seen = lines.count();
        if seen != expected {
            boot.fail(format_args!(
                "expected \"{text}\" in {expected} lines with \"{of}\", seen it in {seen}"
            ));
        }
    }
}

/// With VHE, Linux runs at EL2 itself, and leaves more of it.
#[test]
fn try_on_a_cpu_with_vhe() {
    let scratch = Scratch::new("try-vhe");
    let mut machine = machine(4);
    machine.cpu = "neoverse-n1".into();
    comes_in(machine, &scratch, 600)
        .expect("CPU features: detected: Virtualization Host Extensions");
}

/// The tree has nothing but `/chosen`, and all kernels find the machine by ACPI and UEFI's memory map.
#[test]
fn try_on_a_machine_of_acpi() {
    let scratch = Scratch::new("try-acpi");
    let boot = comes_in(uefi_machine(4, &scratch), &scratch, 600);
    boot.expect_lines(3, "psci: probing for conduit method from ACPI.");
    boot.expect("guest: fdt: no reboot yet");
    boot.expect("guest: fdt: asked for by                      kernel_kexec()");
    expect_kept_off(&boot);
    expect_log_as_it_is(&boot);
}

/// The maps of both kernels below the monitor must have its memory as reserved.
#[track_caller]
fn expect_kept_off(boot: &Boot) {
    let line = boot.expect("monitor at ");
    let range = line.split_once("monitor at 0x").map(|(_, range)| range);
    let start = range.and_then(|range| Some(range.split_once('-')?.0));
    let start = start.unwrap_or_else(|| boot.fail("expected a range of memory"));
    let descriptor = format!("efi:   0x{start:0>12}-");
    let reserved = boot
        .all(&descriptor)
        .filter(|line| line.text.contains("[Reserved"));
    let seen = reserved.count();
    if seen != 2 {
        boot.fail(format_args!(
            "expected two memory maps with {descriptor} reserved, seen {seen}"
        ));
    }
}
