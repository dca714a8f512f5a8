// SPDX-License-Identifier: Apache-2.0
//! Firmware as the guest, at EL1, which starts Debian's GRUB from an EFI system partition, and that
//! Debian's kernel by its EFI stub.

use baton_qemu::{Disk, Firmware, Machine, linux, paths, report};
use baton_tests::{Boot, Scratch, boot_guest_firmware, machine};

use crate::linux::{expect_carried, expect_same_reserved};

/// How often the guest kexecs.
const KEXECS: u32 = 4;

/// Expects the kernel that `firmware` starts and those that are kexeced, each with all CPUs.
#[track_caller]
fn starts_by(firmware: Firmware, smp: u32, seconds: u64) -> Boot {
    let machine = Machine {
        disks: vec![Disk {
            file: paths::esp(),
            serial: "esp",
            writable: false,
        }],
        ..machine(smp)
    };
    let scratch = Scratch::new(&format!("{firmware:?}-{smp}"));
    let boot = boot_guest_firmware(&machine, firmware, &scratch, seconds);
    boot.expect("Welcome to GRUB!");
    boot.expect("EFI stub: Booting Linux Kernel...");
    boot.expect_ok(linux::check(&boot, KEXECS, smp));
    expect_carried(&boot);
    boot.expect_ok(report::check_takeovers(&boot, KEXECS as usize));
    boot
}

/// The kernel finds its CPUs, interrupt controller and PSCI by ACPI there, not by a device tree.
#[test]
fn edk2_starts_debian_which_kexecs() {
    let boot = starts_by(Firmware::Edk2, 4, 1200);
    boot.expect("UEFI firmware (version");
    boot.expect("psci: probing for conduit method from ACPI.");
    expect_same_reserved(&boot, KEXECS as usize + 1);
}

/// The kernel has the device tree that U-Boot was given there, and so the report.
#[test]
fn u_boot_starts_debian_which_kexecs() {
    let boot = starts_by(Firmware::UBoot, 4, 400);
    boot.expect("U-Boot 20");
    boot.expect("psci: probing for conduit method from DT.");
    boot.expect("guest: tree: asked for by                      kernel_kexec()");
}
