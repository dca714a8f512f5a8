// SPDX-License-Identifier: Apache-2.0
//! Kernels that get a device tree which knows nothing of the monitor.

use baton_qemu::{Disk, Task, linux};
use baton_tests::{Scratch, boot, machine};

#[test]
fn kexec_with_the_boards_own_tree_keeps_off_the_monitor() {
    let scratch = Scratch::new("next-tree");
    let file = scratch.path("board.dtb");
    let mut machine = machine(4);
    let output = machine
        .dump_tree(&[], &file)
        // kexec-tools take no tree with a seed for KASLR that was not used.
        .args(["-machine", "dtb-randomness=off"])
        .output()
        .expect("QEMU to write the tree of its machine");
    assert!(
        output.status.success(),
        "expected QEMU to write {}, seen {}: {}",
        file.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    machine.disks = vec![Disk {
        file,
        serial: linux::KERNELS,
        writable: false,
    }];
    let boot = boot(&machine, &Task::Tree.guest(""), 400);
    boot.expect("did not reserve the monitor's memory: it does now");
    boot.expect_ok(linux::check(&boot, 2, 4));
    let reserved = boot
        .lines
        .iter()
        .filter(|line| line.text.contains("did not reserve the monitor's memory"));
    // What was added comes along with the next kexec.
    assert_eq!(reserved.count(), 1, "kexecs whose tree had to be completed");
}
