// SPDX-License-Identifier: Apache-2.0
//! A kernel panics whose crash kernel was loaded by its file (`kexec -p -s`): it has no purgatory, the kernel itself has
//! written the header of the dump, and in lockdown it has checked its signature. Debian's kernels for arm64 cannot do that.

use crate::crash::{CRASH, crash_machine, expect_carried, expect_notes};
use crate::secure_boot::secure_machine;
use baton_qemu::{Guest, Machine, linux, paths};
use baton_tests::{Boot, Scratch, boot};

const SECONDS: u64 = 600;
const NOT_VERIFIED: &str =
    "baton: crash: the crash kernel is not verified: loaded by its file, it has no digest";

/// Runs a kernel that can load by a file, with all of `smp` CPUs in the crash kernel, and in what that kexecs.
#[track_caller]
fn run(machine: &Machine, append: &str) -> Boot {
    let guest = Guest {
        kernel: paths::secure_kernel("Image"),
        initrd: Some(paths::secure_kernel("initramfs.cpio")),
        append: CRASH.command_line(append),
    };
    let boot = boot(machine, &guest, SECONDS);
    boot.expect("guest: kexec -p -s");
    boot.expect("guest: kexec -l -s");
    boot.expect(NOT_VERIFIED);
    boot.expect_no("baton: warning: crash: ");
    boot.expect_ok(linux::check(&boot, 2, machine.smp));
    expect_carried(&boot, 1);
    expect_notes(&boot, machine.smp, 0, 0);
    boot
}

#[test]
#[ignore = "long: make test-long"]
fn a_crash_kernel_that_was_loaded_by_its_file_is_entered() {
    let boot = run(&crash_machine(""), "baton.syscall=-s");
    boot.expect("guest: tree: asked for by                     __crash_kexec()");
    boot.expect("guest: tree: copied or zeroed                               0 KiB");
}

/// The crash kernel is in lockdown too: nobody tells it to load its successor by a file.
#[test]
#[ignore = "long: make test-long"]
fn a_signed_crash_kernel_is_entered_in_lockdown() {
    let scratch = Scratch::new("secure-crash");
    let boot = run(&secure_machine(&[], &scratch), "");
    boot.expect_lines(3, "Kernel is locked down from EFI Secure Boot");
}
