// SPDX-License-Identifier: Apache-2.0
//! Guests whose disks and network are behind the fence (`smmu=fence`), in QEMU 10: Debian's kernels that kexec under
//! load, and firmware that starts a kernel from a disk.

use crate::fence::{FENCED, MODES, expect_a_driver, fenced};
use crate::kernels::kernels;
use baton_qemu::{Disk, Firmware, Machine, Task, kexec, linux, paths, report, scratch};
use baton_tests::{Boot, Scratch, boot, boot_guest_firmware, uefi_machine};

/// How often a kernel kexecs itself.
const KEXECS: u32 = 10;
/// Reads of the disk that each kernel has made under load, at least, when it leaves.
const READS: u64 = 100;

/// One of Debian's kernels in each mode, ten kexecs each. Others read the disk and use the network meanwhile, and
/// each kernel compares what it reads and gets.
#[track_caller]
fn kexecs_under_load(release: &str) {
    let kernels = kernels();
    let place = kernels.all.iter().position(|kernel| kernel.name == release);
    let place = place.unwrap_or_else(|| panic!("expected a kernel of {release} on the disk"));
    let path = [place; KEXECS as usize + 1];
    for (mode, append) in MODES {
        let files = Scratch::new(&format!("fence-{release}-{mode}"));
        let disk = scratch::create(&files.path("disk"), KEXECS).unwrap();
        let mut machine = fenced();
        machine.disks.extend([disk.clone(), kernels.disk()]);
        machine.echo();
        let append = format!("baton.net=on baton.traffic=on {append}");
        let guest = kernels.guest(&path, &append).expect("such a kernel");
        let boot = boot(&machine, &guest, 2400);
        let steps = kernels.steps(&boot, &path, machine.smp);
        if steps.len() != KEXECS as usize || steps.iter().any(Result::is_err) {
            boot.fail(format_args!(
                "{mode}: expected {KEXECS} kexecs, seen {steps:?}"
            ));
        }
        boot.expect_ok(linux::check(&boot, KEXECS, machine.smp));
        boot.expect_ok(report::check_takeovers(&boot, KEXECS as usize));
        expect_a_driver(&boot, KEXECS);
        boot.expect_no(kexec::BYE);
        boot.expect_ok(scratch::check(&boot, &disk, KEXECS));
        expect_network(&boot, KEXECS);
        expect_load(&boot, KEXECS);
        boot.expect_end();
    }
}

/// Each of the kernels 0 to `last` must have got back what it sent.
#[track_caller]
pub fn expect_network(boot: &Boot, last: u32) {
    for number in 0..=last {
        boot.expect(&format!(
            "guest: net: generation {number} sent 8 parts and got them back"
        ));
    }
}

/// Each of `kexecs` kernels must have left while others read the disk.
#[track_caller]
fn expect_load(boot: &Boot, kexecs: u32) {
    let reads = boot.all("guest: traffic: reads of the disk: ").map(|line| {
        let count = line
            .text
            .split_once("disk: ")
            .and_then(|(_, rest)| rest.split(',').next());
        count
            .and_then(|count| count.trim().parse().ok())
            .unwrap_or(0)
    });
    let reads: Vec<u64> = reads.collect();
    if reads.len() != kexecs as usize || reads.iter().any(|reads| *reads < READS) {
        boot.fail(format_args!(
            "expected {READS} reads of the disk or more before each of {kexecs} kexecs, seen {reads:?}"
        ));
    }
}

#[test]
#[ignore = "long: make test-long"]
fn linux_6_1_kexecs_under_load() {
    kexecs_under_load("bookworm");
}

#[test]
#[ignore = "long: make test-long"]
fn linux_6_12_kexecs_under_load() {
    kexecs_under_load("trixie");
}

#[test]
#[ignore = "long: make test-long"]
fn the_newest_linux_kexecs_under_load() {
    kexecs_under_load("sid");
}

/// Firmware as the guest has stage 2 alone in front of its disk, and the kernel that it starts from there sets the SMMU
/// up.
#[track_caller]
fn starts_debian_from_such_a_disk(firmware: Firmware) -> Boot {
    let files = Scratch::new(&format!("fence-{firmware:?}"));
    let disk = scratch::create(&files.path("disk"), 2).unwrap();
    let esp = Disk {
        file: paths::esp_with_disk(),
        serial: "esp",
        writable: false,
    };
    let machine = Machine {
        disks: vec![esp, disk.clone()],
        ..fenced()
    };
    let boot = boot_guest_firmware(&machine, firmware, &files, 1200);
    boot.expect("Welcome to GRUB!");
    boot.expect("EFI stub: Booting Linux Kernel...");
    boot.expect_ok(linux::check(&boot, 2, machine.smp));
    boot.expect_ok(report::check_takeovers(&boot, 2));
    expect_a_driver(&boot, 2);
    boot.expect_ok(scratch::check(&boot, &disk, 2));
    boot
}

#[test]
fn edk2_starts_debian_from_a_disk_behind_it() {
    starts_debian_from_such_a_disk(Firmware::Edk2).expect("UEFI firmware (version");
}

#[test]
fn u_boot_starts_debian_from_a_disk_behind_it() {
    starts_debian_from_such_a_disk(Firmware::NewerUBoot).expect("U-Boot 2025.");
}

/// The monitor is started by firmware from a disk behind the SMMU, and finds that by ACPI.
#[test]
fn linux_that_uefi_starts_has_its_disk_behind_it() {
    let files = Scratch::new("fence-uefi");
    let disk = scratch::create(&files.path("disk"), 2).unwrap();
    let uefi = uefi_machine(4, &files).uefi;
    let machine = Machine {
        disks: vec![disk.clone()],
        uefi,
        ..fenced()
    };
    let boot = boot(&machine, &Task::Disk { times: 2 }.guest(""), 600);
    boot.expect("baton: EL2 taken at ExitBootServices");
    boot.expect_ok(linux::check(&boot, 2, machine.smp));
    boot.expect(FENCED);
    expect_a_driver(&boot, 2);
    boot.expect_ok(scratch::check(&boot, &disk, 2));
    boot.expect_end();
}
