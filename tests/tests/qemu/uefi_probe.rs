// SPDX-License-Identifier: Apache-2.0
//! What other files show of the monitor, where UEFI firmware has started it, on a machine described by ACPI
//! alone: the probe is the loader that ends firmware's boot services.

use crate::audit::{self, MAX};
use crate::hostile;
use crate::probe::{is_alone_for_few_instructions, run_on};
use baton_qemu::paths;
use baton_tests::{Scratch, uefi_machine};

#[test]
fn reboots() {
    let scratch = Scratch::new("uefi-probe");
    run_on(&uefi_machine(4, &scratch), "test=kexec generations=3", 120);
}

#[test]
fn the_boot_cpu_is_alone_for_few_instructions() {
    let scratch = Scratch::new("uefi-alone");
    is_alone_for_few_instructions(uefi_machine(8, &scratch));
}

#[test]
fn psci() {
    let scratch = Scratch::new("uefi-psci");
    run_on(&uefi_machine(8, &scratch), "test=psci", 180);
}

#[test]
fn audit_finds_nothing() {
    let scratch = Scratch::new("uefi-audit");
    audit::clean_on(&audit::with(uefi_machine(4, &scratch), MAX, true), 180);
}

/// This firmware runs with E2H set, where the CPU has it.
#[test]
fn audit_finds_nothing_by_newer_firmware() {
    let scratch = Scratch::new("uefi-audit-newer");
    let mut machine = audit::with(uefi_machine(4, &scratch), MAX, true);
    machine.uefi.as_mut().unwrap().firmware = paths::edk2_of("trixie");
    audit::clean_on(&machine, 180);
}

#[test]
fn audit_finds_what_is_left() {
    for steps in ["el1-registers", "cpu-interface,distributor", "lpis,its"] {
        let scratch = Scratch::new("uefi-audit-left");
        let machine = audit::with(uefi_machine(4, &scratch), MAX, true);
        audit::finds_what_is_left_without_on(machine, steps);
    }
}

#[test]
fn nothing_that_a_guest_tries_stops_the_monitor() {
    let scratch = Scratch::new("uefi-hostile");
    hostile::nothing_stops_the_monitor_on("uefi-fuzz", &uefi_machine(4, &scratch));
}

#[test]
fn the_gic_takes_no_table_outside_guest_memory() {
    let scratch = Scratch::new("uefi-tables");
    hostile::gic_takes_no_table_on("uefi-gic-tables", uefi_machine(4, &scratch));
}

#[test]
fn hostile_lists_are_refused() {
    let scratch = Scratch::new("uefi-lists");
    run_on(&uefi_machine(4, &scratch), "test=hostile-list", 120);
}

#[test]
fn the_monitors_memory_is_out_of_reach() {
    let scratch = Scratch::new("uefi-access");
    run_on(&uefi_machine(4, &scratch), "test=monitor-access", 120);
}

/// The next kernel would take the monitor's memory for its own: it is told before anything stops.
#[test]
fn maps_that_do_not_keep_off_the_monitor_are_refused() {
    let scratch = Scratch::new("uefi-maps");
    let boot = run_on(&uefi_machine(4, &scratch), "test=memory-map", 120);
    let refused = "KEXEC refused: the next kernel's memory map";
    for why in [
        ": 0xbe200000-0xbe600000 (4 MiB) is not kept off, in 0xbe200000-0xbe600000 (4 MiB), type 7",
        " bytes of descriptors of 48 bytes",
        ": descriptors of version 2",
        ", at 0xbe200000-",
        ", at 0x9000000-",
    ] {
        let all: Vec<_> = boot.all(refused).collect();
        if !all.iter().any(|line| line.text.contains(why)) {
            boot.fail(format_args!("expected \"{why}\", seen {all:?}"));
        }
    }
}
