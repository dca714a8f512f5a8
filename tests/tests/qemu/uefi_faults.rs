// SPDX-License-Identifier: Apache-2.0
//! What is wrong where UEFI firmware starts the monitor: one line says so, and the machine boots as without it.
//!
//! The application of `tests/faults` damages the machine before the monitor looks at it.

use baton_qemu::linux::generations;
use baton_qemu::uefi::{Entry, Way};
use baton_qemu::{Machine, Task, Uefi};
use baton_tests::{Boot, Scratch, boot, uefi_machine};

const SMP: u32 = 2;
const SECONDS: u64 = 300;

/// A machine whose firmware boots these.
fn machine_that_boots(entries: &[Entry], scratch: &Scratch) -> Machine {
    let machine = uefi_machine(SMP, scratch);
    let uefi = machine.uefi.map(|uefi| Uefi {
        entries: entries.to_vec(),
        ..uefi
    });
    Machine {
        // Its translation tables are as `tests/faults` counts on.
        cpu: "cortex-a57".into(),
        mem: 1024,
        baton: "log=debug".into(),
        uefi,
        ..machine
    }
}

/// Debian's kernel must come to user space with all CPUs, by itself at the exception level `level`.
#[track_caller]
fn run(machine: &Machine, level: u32) -> Boot {
    let boot = boot(machine, &Task::PowerOff.guest(""), SECONDS);
    boot.expect(&format!("CPU: All CPU(s) started at EL{level}"));
    let seen: Vec<_> = generations(&boot)
        .iter()
        .map(|kernel| (kernel.online, kernel.cpus))
        .collect();
    if seen != [(SMP, SMP)] {
        boot.fail(format_args!(
            "expected a kernel with {SMP} of {SMP} CPUs, seen {seen:?}"
        ));
    }
    boot.expect_end();
    boot
}

/// The kernel must come up as without the monitor, and that say why in one line with all of `words`.
#[track_caller]
fn boots_without(machine: &Machine, words: &[&str]) -> Boot {
    let boot = run(machine, if machine.el2 { 2 } else { 1 });
    boot.expect_error(words);
    boot.expect_no("EL2 taken");
    boot
}

/// With what `tests/faults` calls `fault`.
#[track_caller]
fn boots_without_by(fault: &'static str, words: &[&str]) -> Boot {
    let scratch = Scratch::new(&format!("uefi-{fault}"));
    boots_without(&machine_that_boots(&[Entry::Fault(fault)], &scratch), words)
}

#[test]
fn no_el2() {
    let scratch = Scratch::new("uefi-no-el2");
    let machine = Machine {
        el2: false,
        ..machine_that_boots(&[Entry::Monitor("")], &scratch)
    };
    boots_without(&machine, &["runs at EL1", "needs EL2"]);
}

/// A driver that is of no use is unloaded, and firmware goes on to boot.
#[test]
fn no_el2_for_a_driver() {
    let scratch = Scratch::new("uefi-no-el2-driver");
    let mut machine = Machine {
        el2: false,
        ..machine_that_boots(&[], &scratch)
    };
    machine.uefi.as_mut().unwrap().way = Way::Driver;
    boots_without(&machine, &["runs at EL1", "needs EL2"]);
}

#[test]
fn no_madt() {
    boots_without_by("no-madt", &["ACPI: no table APIC"]);
}

#[test]
fn madt_whose_checksum_is_wrong() {
    boots_without_by("madt-checksum", &["ACPI: APIC at 0x", "add up to 0x1,"]);
}

#[test]
fn madt_with_an_entry_of_no_bytes() {
    boots_without_by(
        "madt-entry",
        &["MADT: entry of type", "cannot have 0 bytes"],
    );
}

#[test]
fn interrupt_controller_that_is_not_known() {
    boots_without_by("gic-version", &["MADT: GIC version 9"]);
}

#[test]
fn no_psci() {
    boots_without_by("no-psci", &["FADT: firmware has no PSCI"]);
}

#[test]
fn psci_by_hvc() {
    boots_without_by("psci-hvc", &["PSCI by HVC"]);
}

#[test]
fn no_memory() {
    boots_without_by("no-memory", &["no ", " KiB of free memory"]);
}

#[test]
fn tables_of_52_bits() {
    boots_without_by("tables-52-bits", &["52 bits of address (TCR_EL2 0x1"]);
}

/// The monitor waits already, and looks again when boot services are to end.
#[test]
fn tables_that_become_those_of_52_bits() {
    let boot = boots_without_by(
        "late-tables-52-bits",
        &["52 bits of address (TCR_EL2 0x1", "goes on without Baton"],
    );
    boot.expect("waits for ExitBootServices");
}

#[test]
fn table_that_is_not_in_memory() {
    boots_without_by("table-elsewhere", &["firmware's table at 0x1000"]);
}

/// The kernel's stub reads the memory map again, and asks again.
#[test]
fn exit_boot_services_refused_once() {
    let scratch = Scratch::new("uefi-refuse-once");
    let machine = machine_that_boots(&[Entry::Fault("refuse-once")], &scratch);
    let boot = run(&machine, 1);
    boot.expect("baton: EL2 taken at ExitBootServices");
    boot.expect("ExitBootServices refused 1 times");
    boot.expect_no("baton: error: ");
}

/// The kernel's stub gives up, and firmware goes on to its next entry.
#[test]
fn exit_boot_services_refused_twice() {
    let scratch = Scratch::new("uefi-refuse-twice");
    let entries = [Entry::Fault("refuse-twice"), Entry::Guest];
    boots_without(
        &machine_that_boots(&entries, &scratch),
        &["ExitBootServices 2 times", "EFI_INVALID_PARAMETER"],
    )
    .expect("faults: the monitor has returned");
}

/// The table of boot services is again what it was before the monitor.
#[test]
fn shim_that_takes_exit_boot_services_back() {
    boots_without_by(
        "old-shim",
        &["taken back", "shim older than 16", "without Baton"],
    )
    .expect_no("guest: ACPI: BATN");
}

#[test]
fn next_loader_that_is_not_there() {
    let scratch = Scratch::new("uefi-no-next");
    let entries = [Entry::Monitor(r"next=\no\such.efi"), Entry::Guest];
    boots_without(
        &machine_that_boots(&entries, &scratch),
        &[r"next loader \no\such.efi: EFI_NOT_FOUND"],
    );
}

#[test]
fn no_next_loader_on_the_partition() {
    let scratch = Scratch::new("uefi-nothing-next");
    let mut machine = machine_that_boots(&[Entry::Monitor(""), Entry::Guest], &scratch);
    machine.uefi.as_mut().unwrap().way = Way::LoadOptions;
    boots_without(&machine, &["no next loader", r"\EFI\BATON\BATON.EFI"]);
}

/// Firmware goes on to its next entry, the monitor once more: in the same place, as nothing is left of the first.
#[test]
fn loader_that_returns() {
    let scratch = Scratch::new("uefi-return");
    let entries = [
        Entry::Monitor(r"next=\EFI\FAULTS\FAULTS.EFI fault=return"),
        Entry::Monitor(""),
    ];
    let boot = run(&machine_that_boots(&entries, &scratch), 1);
    boot.expect("baton: warning: the next loader returned EFI_NOT_STARTED; Baton withdraws");
    boot.expect("baton: EL2 taken at ExitBootServices");
    boot.expect_no("baton: error: ");
    let places: Vec<_> = boot
        .all("waits for ExitBootServices")
        .filter_map(|line| line.text.split("monitor at ").nth(1)?.split(',').next())
        .collect();
    if places.len() != 2 || places[0] != places[1] {
        boot.fail(format_args!(
            "expected the monitor in one place twice, seen {places:?}"
        ));
    }
}
