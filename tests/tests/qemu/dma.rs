// SPDX-License-Identifier: Apache-2.0
//! Devices that write to memory when their kernel has gone: QEMU's `edu`, which does so 100 ms after it was told.

use crate::audit::{MAX, clean_on, finds_what_is_left_without_on, with};
use crate::probe;
use baton_abi::steps;
use baton_qemu::{Machine, Task, kexec, linux, paths, scratch};
use baton_tests::{Boot, Scratch, Times, boot, machine, uefi_machine};

/// Nanoseconds that an instruction takes on [`with_edus`].
const NS: u32 = 8;

/// Two `edu` devices that reach all memory, on a machine whose time goes by its instructions: a takeover takes less
/// than 100 ms.
pub fn with_edus() -> Machine {
    let mut machine = machine(4);
    machine
        .extra
        .extend(["-icount", "shift=3,sleep=off"].map(str::to_owned));
    for _ in 0..2 {
        let edu = "edu,dma_mask=0xffffffffffffffff";
        machine.extra.extend(["-device", edu].map(str::to_owned));
    }
    machine
}

/// The probe's `test=dma`, by a monitor with these options.
fn run(mut machine: Machine, baton: &str) -> Boot {
    machine.baton = baton.to_owned();
    let boot = boot(&machine, &probe::guest("test=dma"), 120);
    boot.expect_end();
    boot
}

#[test]
fn of_the_old_kernel_does_not_land() {
    let boot = run(with_edus(), "log=debug");
    boot.expect("probe: PASS");
    for device in [1, 2] {
        boot.expect(&format!("PCI 0000:00:0{device}.0: bus mastering cleared"));
    }
    boot.expect("baton: PCI functions that lost their bus mastering: 3; SMMUs shut: 0");
}

#[test]
fn lands_where_it_is_kept() {
    let boot = run(with_edus(), "dma=keep");
    boot.expect("probe: FAIL dma: expected no device to write, seen 2 of 2");
    boot.expect("baton: PCI functions that lost their bus mastering: 0");
}

/// By instructions of a nanosecond each: 61 functions of PCI Express beside the two, and the host bridge.
#[test]
fn of_64_functions_is_stopped_within_200_us() {
    let mut machine = with_edus();
    for number in 24..85 {
        let (device, function) = (number / 8, number % 8);
        let more = format!(
            "virtio-rng-pci,disable-legacy=on,multifunction=on,addr={device:#x}.{function}"
        );
        machine.extra.extend(["-device".into(), more]);
    }
    let [with, without] = ["", "skip-steps=pci-dma"].map(|baton| {
        let boot = run(machine.clone(), &format!("report=rows {baton}"));
        if baton.is_empty() {
            boot.expect("baton: PCI functions that lost their bus mastering: 64; SMMUs shut: 0");
        }
        let times = Times::of(&boot);
        (times.phase2_end - times.validated) / f64::from(NS) / 1e3
    });
    let us = with - without;
    println!("{us:.1} us for 64 functions, of {with:.1} us in phases 1 and 2");
    assert!(us < 200.0, "expected less than 200 us, seen {us:.1}");
}

/// A machine of QEMU 10, whose SMMUv3 does what GBPA says, before PCI.
pub fn with_smmu(machine: Machine) -> Machine {
    Machine {
        qemu: paths::qemu_10().display().to_string(),
        smmu: true,
        ..machine
    }
}

#[test]
fn behind_an_smmu_does_not_land_and_the_next_driver_sets_that_up() {
    let boot = run(with_smmu(with_edus()), "");
    boot.expect("probe: PASS");
    boot.expect("shut until a driver sets it up");
    boot.expect("baton: PCI functions that lost their bus mastering: 3; SMMUs shut: 1");
}

/// The devices are still masters of their bus.
#[test]
fn is_stopped_by_an_smmu_alone() {
    let boot = run(with_smmu(with_edus()), "skip-steps=pci-dma");
    boot.expect("probe: PASS");
}

#[test]
fn lands_where_neither_stops_it() {
    for baton in ["skip-steps=pci-dma,smmu", "dma=keep"] {
        let boot = run(with_smmu(with_edus()), baton);
        boot.expect("probe: FAIL dma: expected no device to write, seen 2 of 2");
    }
}

#[test]
fn an_smmu_is_open_for_a_kernel_without_a_driver_if_it_is_told_so() {
    let boot = run(with_smmu(with_edus()), "smmu=bypass");
    boot.expect("probe: the SMMU lets everything through");
    boot.expect("probe: PASS");
}

#[test]
fn audit_finds_nothing_of_an_smmu() {
    clean_on(&with(with_smmu(machine(4)), MAX, true), 120);
}

/// By the IORT, and configuration space by the MCFG.
#[test]
fn audit_finds_nothing_of_an_smmu_by_acpi() {
    let scratch = Scratch::new("smmu-acpi");
    let machine = with(with_smmu(uefi_machine(4, &scratch)), MAX, true);
    clean_on(&machine, 180);
}

#[test]
fn audit_finds_what_is_left_of_an_smmu() {
    let machine = with(with_smmu(machine(4)), MAX, true);
    finds_what_is_left_without_on(machine, steps::SMMU);
}

/// Debian's kernel, three times, each with its disk behind the SMMU.
#[test]
fn linux_has_its_disk_behind_an_smmu_in_every_kernel() {
    let files = Scratch::new("smmu");
    let disk = scratch::create(&files.path("disk"), 3).unwrap();
    let mut machine = with_smmu(machine(4));
    machine.disks.push(disk.clone());
    let boot = boot(&machine, &Task::Disk { times: 3 }.guest(""), 400);
    boot.expect_ok(linux::check(&boot, 3, machine.smp));
    boot.expect(kexec::STARTING);
    boot.expect_no(kexec::BYE);
    boot.expect("Adding to iommu group");
    boot.expect("shut until a driver sets it up");
    boot.expect_ok(scratch::check(&boot, &disk, 3));
    boot.expect_end();
}
