// SPDX-License-Identifier: Apache-2.0
//! Kernels that get a device tree which knows nothing of the monitor.

use crate::probe;
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
    machine.disks = vec![Disk::kernels(file)];
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

/// The same by the call KEXEC, whose tree is judged as that of Linux's kexec.
#[test]
fn call_with_the_boards_own_tree_keeps_off_the_monitor() {
    let boot = boot(&machine(4), &probe::guest("test=board-tree"), 120);
    boot.expect("probe: trees without the monitor's reservation were refused");
    let refusals = [
        "KEXEC refused: the next kernel's device tree: ",
        "KEXEC refused: the next kernel's device tree does not reserve the monitor's memory",
    ];
    for refusal in refusals {
        boot.expect(refusal);
    }
    boot.expect("did not reserve the monitor's memory: it does now");
    let monitor = boot.expect("monitor at ").to_owned();
    let reserved = boot.expect("probe: reserved: ");
    let start = reserved
        .split([' ', ','])
        .find(|word| word.starts_with("0x"));
    if !start.is_some_and(|start| monitor.contains(&format!("monitor at {start}-"))) {
        boot.fail(format_args!(
            "expected the reservation of \"{monitor}\", seen \"{reserved}\""
        ));
    }
    boot.expect("probe: PASS");
    boot.expect_end();
}
