// SPDX-License-Identifier: Apache-2.0
//! Secure Boot: firmware with Microsoft's keys starts shim, that the monitor with the machine owner's signature, and
//! that in its turn the distribution's shim, GRUB and kernel.

use crate::linux::expect_carried;
use baton_qemu::uefi::{Entry, Way};
use baton_qemu::{Guest, Machine, Task, linux, paths, report};
use baton_tests::{Boot, Scratch, boot, uefi_machine};

const SMP: u32 = 2;
const SECONDS: u64 = 300;

/// A machine with Secure Boot; its firmware boots `entries`, or what the way has.
pub fn secure_machine(entries: &[Entry], scratch: &Scratch) -> Machine {
    let mut machine = uefi_machine(SMP, scratch);
    let uefi = machine.uefi.as_mut().unwrap();
    (uefi.way, uefi.entries) = (Way::Shim, entries.to_vec());
    machine
}

/// Debian's kernel must come up in lockdown, at the exception level `level`.
#[track_caller]
fn boots_in_lockdown(machine: &Machine, level: u32) -> Boot {
    let boot = boot(machine, &Task::PowerOff.guest(""), SECONDS);
    boot.expect("EFI stub: UEFI Secure Boot is enabled.");
    boot.expect("Kernel is locked down from EFI Secure Boot");
    boot.expect(&format!("CPU: All CPU(s) started at EL{level}"));
    boot.expect(&format!("CPUs online: {SMP} of {SMP}"));
    boot.expect_end();
    boot
}

#[test]
fn shim_starts_what_its_owner_has_signed() {
    let scratch = Scratch::new("secure");
    let machine = Machine {
        baton: "inject=heap@0 log=debug".into(),
        ..secure_machine(&[], &scratch)
    };
    let boot = boots_in_lockdown(&machine, 1);
    boot.expect("baton: EL2 taken at ExitBootServices");
    boot.expect_no("baton: error: ");
    // It stands in `baton.conf`, which has no signature.
    let warnings: Vec<_> = boot.all("baton: warning: ").collect();
    let ignored = r#"option "inject=heap@0" ignored: Secure Boot is on"#;
    if warnings.len() != 1 || !warnings[0].text.contains(ignored) {
        boot.fail(format_args!("expected {ignored} alone, seen {warnings:?}"));
    }
}

/// A kernel with the same signature, which checks that of its successor.
#[test]
#[ignore = "long: make test-long"]
fn a_signed_kernel_is_kexecked_in_lockdown() {
    let scratch = Scratch::new("secure-kexec");
    let task = Task::Kexec {
        times: 1,
        checks: true,
    };
    let guest = Guest {
        kernel: paths::secure_kernel("Image"),
        initrd: Some(paths::secure_kernel("initramfs.cpio")),
        append: task.command_line(""),
    };
    let boot = boot(&secure_machine(&[], &scratch), &guest, SECONDS);
    boot.expect_ok(linux::check(&boot, 1, SMP));
    boot.expect("Kernel is locked down from EFI Secure Boot");
    boot.expect("guest: kexec -l -s");
    expect_carried(&boot);
    boot.expect_ok(report::check_takeovers(&boot, 1));
}

/// The machine boots by its next entry.
#[test]
#[ignore = "long: make test-long"]
fn firmware_refuses_a_monitor_without_a_signature() {
    let scratch = Scratch::new("unsigned");
    let entries = [Entry::MonitorByFirmware(""), Entry::Guest];
    let mut machine = secure_machine(&entries, &scratch);
    machine.uefi.as_mut().unwrap().is_signed = false;
    let boot = boots_in_lockdown(&machine, 2);
    let refused = boot.expect(r#"BdsDxe: failed to load Boot0000 "Baton""#);
    if !refused.ends_with(": Access Denied") {
        boot.fail(format_args!(
            "expected \"Access Denied\", seen \"{refused}\""
        ));
    }
    boot.expect_no("baton: ");
}

/// shim does not let it be loaded, and goes on to its own loader.
#[test]
#[ignore = "long: make test-long"]
fn a_next_loader_without_a_signature_is_refused() {
    let scratch = Scratch::new("unsigned-next");
    let entries = [Entry::Monitor(r"next=\EFI\FAULTS\FAULTS.EFI fault=return")];
    let boot = boots_in_lockdown(&secure_machine(&entries, &scratch), 2);
    boot.expect_error(&[r"next loader \EFI\FAULTS\FAULTS.EFI: EFI_SECURITY_VIOLATION"]);
    boot.expect_no("EL2 taken");
}
