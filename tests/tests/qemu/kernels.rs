// SPDX-License-Identifier: Apache-2.0
//! Kexecs from one of Debian's kernels to another.

use baton_qemu::walk::Kernels;
use baton_qemu::{Machine, paths, scratch};
use baton_tests::{Boot, Scratch, boot, machine};

/// The kernels of the disk that `make` has made for this.
#[track_caller]
pub fn kernels() -> Kernels {
    Kernels::open(&paths::kernel_disk()).unwrap_or_else(|error| panic!("{error}"))
}

/// Goes along `path` of kernels, each of which writes a block of a disk, by kexecs that the monitor carries.
#[track_caller]
pub fn walk_on(machine: Machine, kernels: &Kernels, path: &[usize], files: &Scratch) -> Boot {
    let last = path.len() as u32 - 1;
    let disk = scratch::create(&files.path("disk"), last).unwrap();
    let machine = Machine {
        disks: vec![disk.clone(), kernels.disk()],
        ..machine
    };
    let guest = kernels.guest(path, "").expect("a disk with these kernels");
    let boot = boot(&machine, &guest, 400);
    let steps = kernels.steps(&boot, path, machine.smp);
    if steps.len() != path.len() - 1 || steps.iter().any(Result::is_err) {
        boot.fail(format_args!("expected {last} kexecs, seen {steps:?}"));
    }
    boot.expect_ok(scratch::check(&boot, &disk, last));
    boot.expect_end();
    boot
}

#[test]
fn kexecs_another_kernel_and_back() {
    let files = Scratch::new("kernels");
    walk_on(machine(4), &kernels(), &[0, 1, 0], &files);
}
