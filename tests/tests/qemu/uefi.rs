// SPDX-License-Identifier: Apache-2.0
//! UEFI firmware at EL2, which starts the monitor, and that Debian's kernel by its EFI stub; the machine is
//! described by ACPI alone.

use crate::linux::{KEXEC, KEXEC_UNCHECKED, expect_carried, run_on};
use baton_qemu::{Machine, Task, kexec, paths, report};
use baton_tests::{Boot, Scratch, uefi_machine};

/// Expects Debian's kernel and the one that it kexecs, with all CPUs, by ACPI.
#[track_caller]
fn run(machine: &Machine, task: Task, seconds: u64) -> Boot {
    let boot = run_on(machine, task, 1, seconds);
    boot.expect("UEFI firmware (version");
    boot.expect("EFI stub: Booting Linux Kernel...");
    if boot
        .all("psci: probing for conduit method from ACPI.")
        .count()
        != 2
    {
        boot.fail("expected two kernels that find PSCI by ACPI");
    }
    boot
}

/// The monitor must be started by firmware and carry one kexec, on `smp` CPUs.
#[track_caller]
fn boots_and_kexecs_on(smp: u32, seconds: u64) {
    let scratch = Scratch::new(&format!("uefi-{smp}"));
    let boot = run(&uefi_machine(smp, &scratch), KEXEC, seconds);
    boot.expect(r"\EFI\BATON\BATON.EFI");
    expect_carried(&boot);
    boot.expect_ok(report::check_takeovers(&boot, 1));
}

#[test]
fn boots_and_kexecs() {
    boots_and_kexecs_on(4, 400);
}

#[test]
fn boots_and_kexecs_on_80_cpus() {
    boots_and_kexecs_on(80, 1200);
}

/// This firmware runs with E2H set, on a CPU that has it.
#[test]
fn boots_and_kexecs_by_newer_firmware() {
    let scratch = Scratch::new("uefi-newer");
    let mut machine = uefi_machine(4, &scratch);
    machine.cpu = "neoverse-n1".into();
    if let Some(uefi) = &mut machine.uefi {
        uefi.firmware = paths::edk2_of("trixie");
    }
    let boot = run(&machine, KEXEC, 400);
    boot.expect("UEFI firmware (version 2025");
    expect_carried(&boot);
    boot.expect_ok(report::check_takeovers(&boot, 1));
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
