// SPDX-License-Identifier: Apache-2.0
//! UEFI firmware at EL2, which starts the monitor, and that Debian's kernel by its EFI stub; the machine is
//! described by ACPI alone, or by firmware's device tree.

use crate::enable_method::{expect_kexec, set_cpu};
use crate::linux::{KEXEC, KEXEC_UNCHECKED, expect_carried, expect_same_reserved, run_on};
use baton_qemu::report::Exits;
use baton_qemu::uefi::Way;
use baton_qemu::{Machine, Task, kexec, paths, report};
use baton_tests::{Boot, Scratch, boot, tree, uefi_machine};

/// Expects Debian's kernel and the one that it kexecs, with all CPUs, by ACPI.
#[track_caller]
fn run(machine: &Machine, task: Task, seconds: u64) -> Boot {
    let boot = run_on(machine, task, 1, seconds);
    boot.expect("UEFI firmware (version");
    boot.expect("EFI stub: Booting Linux Kernel...");
    boot.expect_lines(2, "psci: probing for conduit method from ACPI.");
    boot
}

/// The monitor must be started by firmware, and carry one kexec.
#[track_caller]
pub fn boots_and_kexecs_on(machine: &Machine, seconds: u64) -> Boot {
    let boot = run(machine, KEXEC, seconds);
    boot.expect("baton: EL2 taken at ExitBootServices");
    expect_carried(&boot);
    boot.expect_ok(report::check_takeovers(&boot, 1));
    boot
}

#[track_caller]
fn boots_and_kexecs_by(way: Way) -> Boot {
    let scratch = Scratch::new(&format!("uefi-{way:?}"));
    let mut machine = uefi_machine(4, &scratch);
    machine.uefi.as_mut().unwrap().way = way;
    boots_and_kexecs_on(&machine, 400)
}

#[test]
fn boots_and_kexecs() {
    boots_and_kexecs_by(Way::Configuration).expect(r"\EFI\BATON\BATON.EFI");
}

#[test]
fn boots_and_kexecs_on_80_cpus() {
    let scratch = Scratch::new("uefi-80");
    boots_and_kexecs_on(&uefi_machine(80, &scratch), 1200);
}

/// This firmware runs with E2H set, on a CPU that has it.
#[test]
fn boots_and_kexecs_by_newer_firmware() {
    let scratch = Scratch::new("uefi-newer");
    let mut machine = uefi_machine(4, &scratch);
    machine.cpu = "neoverse-n1".into();
    machine.uefi.as_mut().unwrap().firmware = paths::edk2_of("trixie");
    boots_and_kexecs_on(&machine, 400).expect("UEFI firmware (version 2025");
}

#[test]
fn takes_its_next_loader_from_its_load_options() {
    boots_and_kexecs_by(Way::LoadOptions);
}

#[test]
fn stays_as_a_driver() {
    boots_and_kexecs_by(Way::Driver).expect(r#"BdsDxe: starting Boot0000 "Linux""#);
}

#[test]
fn is_found_on_a_removable_disk() {
    boots_and_kexecs_by(Way::Removable);
}

#[test]
#[ignore = "long: make test-long"]
fn is_started_by_grub() {
    boots_and_kexecs_by(Way::Grub).expect(r#"BdsDxe: starting Boot0000 "GRUB""#);
}

#[test]
#[ignore = "long: make test-long"]
fn is_loaded_by_systemd_boot() {
    boots_and_kexecs_by(Way::SystemdBoot).expect(r#"BdsDxe: starting Boot0000 "systemd-boot""#);
}

/// Expects both kernels to take the machine from firmware's device tree.
#[track_caller]
fn boots_and_kexecs_by_its_tree(machine: &Machine) {
    let boot = run_on(machine, KEXEC, 1, 400);
    boot.expect("baton: EL2 taken at ExitBootServices");
    boot.expect("EFI stub: Booting Linux Kernel...");
    boot.expect_lines(2, "psci: probing for conduit method from DT.");
    expect_carried(&boot);
    boot.expect_ok(report::check_takeovers(&boot, 1));
}

#[test]
fn boots_and_kexecs_by_a_device_tree() {
    let scratch = Scratch::new("uefi-tree");
    let mut machine = uefi_machine(4, &scratch);
    machine.extra = ["-M", "acpi=off"].map(str::to_owned).into();
    boots_and_kexecs_by_its_tree(&machine);
}

/// The kernel is handed firmware's tree as it is, and does not start that CPU either.
#[test]
fn runs_without_a_cpu_that_nobody_can_start() {
    let scratch = Scratch::new("uefi-unusable");
    let mut machine = uefi_machine(4, &scratch);
    machine.extra = ["-M", "acpi=off"].map(str::to_owned).into();
    let mut tree = tree(&machine, &[], &scratch);
    set_cpu(&mut tree, 3, "enable-method", None);
    let file = scratch.path("changed.dtb");
    std::fs::write(&file, tree.to_dtb()).unwrap_or_else(|error| panic!("{error}"));
    machine.extra.push("-dtb".into());
    machine.extra.push(file.to_string_lossy().into_owned());
    let boot = boot(&machine, &KEXEC.guest(""), 400);
    boot.expect("warning: CPU with MPIDR 0x3 cannot be started: it has no enable-method");
    expect_kexec(&boot, 3);
}

/// `bootefi`, as U-Boot's boot flow calls it for a removable disk.
#[test]
fn boots_and_kexecs_by_u_boot() {
    let scratch = Scratch::new("uefi-u-boot");
    let mut machine = uefi_machine(4, &scratch);
    let uefi = machine.uefi.as_mut().unwrap();
    (uefi.firmware, uefi.way) = (paths::u_boot(), Way::Removable);
    boots_and_kexecs_by_its_tree(&machine);
}

/// What the monitor is compared with: the same firmware and kernel without it, with an ITS.
#[test]
fn the_stock_kernel_kexecs_at_el2() {
    let scratch = Scratch::new("uefi-stock");
    let machine = Machine {
        monitor: None,
        ..uefi_machine(4, &scratch)
    };
    let boot = run(&machine, KEXEC_UNCHECKED, 400);
    boot.expect(kexec::BYE);
    boot.expect("CPU: All CPU(s) started at EL2");
}

/// There is no device tree that the report could be in: a table of ACPI has it.
#[test]
fn the_report_is_a_table_of_acpi() {
    let scratch = Scratch::new("uefi-report");
    let boot = run(&uefi_machine(4, &scratch), KEXEC, 400);
    let lines: Vec<_> = boot
        .lines
        .iter()
        .filter_map(|line| line.text.split_once("guest: ACPI: "))
        .map(|(_, text)| text)
        .collect();
    let whole = "BATN has 70500 bytes, length 70500, sum 0";
    let first = [whole, "Baton report v1"];
    let then = [
        "no reboot yet",
        "asked for by                      kernel_kexec()",
        "reboot                                         1",
        "CPUs                                           4",
        "CPUs missing                                   0",
    ];
    if !lines.starts_with(&first) || then.iter().any(|line| !lines.contains(line)) {
        boot.fail(format_args!(
            "expected {first:?} and {then:?}, seen {lines:?}"
        ));
    }
    let generations = lines.iter().filter(|line| **line == whole).count();
    if generations != 2 {
        boot.fail(format_args!(
            "expected a table that is whole in each of 2 kernels, seen {lines:?}"
        ));
    }
}

/// Each kernel reserves memory for its tables of LPIs until the machine is reset.
#[test]
fn ten_kexecs_leave_no_more_reserved() {
    let scratch = Scratch::new("uefi-reserved");
    let task = Task::Kexec {
        times: 10,
        checks: false,
    };
    let boot = run_on(&uefi_machine(4, &scratch), task, 10, 1200);
    boot.expect_ok(report::check_takeovers(&boot, 10));
    expect_same_reserved(&boot, 11);
}

/// Exits of a kernel that does `task` on a machine with an ITS.
#[track_caller]
fn exits_of(task: Task, name: &str) -> Exits {
    let scratch = Scratch::new(name);
    let boot = run_on(&uefi_machine(4, &scratch), task, 0, 400);
    boot.expect("baton: EL2 taken at ExitBootServices");
    let line = boot.expect("baton: exits so far: ");
    Exits::parse(line).unwrap_or_else(|| boot.fail("expected the exits by their cause"))
}

#[test]
fn a_kernel_that_works_makes_no_exits() {
    let idle = exits_of(Task::PowerOff, "uefi-no-loads");
    let at_work = exits_of(Task::Loads, "uefi-loads");
    assert_eq!(at_work, idle, "exits with loads, and without");
}
