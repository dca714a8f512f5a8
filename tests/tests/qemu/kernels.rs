// SPDX-License-Identifier: Apache-2.0
//! Kexecs from one of Debian's kernels to another.

use baton_qemu::walk::Kernels;
use baton_qemu::{Machine, paths, scratch};
use baton_tests::{Scratch, boot, machine};

#[test]
fn kexecs_another_kernel_and_back() {
    let kernels = Kernels::open(&paths::kernel_disk()).unwrap_or_else(|error| panic!("{error}"));
    let path = [0, 1, 0];
    let last = 2;
    let files = Scratch::new("kernels");
    let disk = scratch::create(&files.path("disk"), last).unwrap();
    let machine = Machine {
        disks: vec![disk.clone(), kernels.disk()],
        ..machine(4)
    };
    let guest = kernels.guest(&path, "").expect("a disk with two kernels");
    let boot = boot(&machine, &guest, 400);
    let steps = kernels.steps(&boot, &path, 4);
    if steps.len() != 2 || steps.iter().any(Result::is_err) {
        boot.fail(format_args!("expected two kexecs, seen {steps:?}"));
    }
    boot.expect_ok(scratch::check(&boot, &disk, last));
    boot.expect_end();
}
