// SPDX-License-Identifier: Apache-2.0
//! The CPUs' debug registers, where the device tree says that they lie in memory: the guest does without them. In
//! their place there is a GPIO controller, which answers as what it is to whoever reaches it.

use crate::{linux, probe};
use baton_qemu::{Disk, Task, linux as guest};
use baton_tests::{Scratch, boot_changed, machine, tree};
use dtoolkit::Node;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

/// What QEMU's virt board has at [`GPIO`].
const PLACE: &str = "pl061@9030000";
const GPIO: u64 = 0x903_0000;

/// Has the tree call the board's GPIO controller the debug registers of a CPU, and a cross trigger of its own page.
fn rename(tree: &mut DeviceTree) {
    tree.root.remove_child("gpio-keys");
    let gpio = tree.root.remove_child(PLACE).expect("virt has a PL061");
    for (name, kinds, start) in [
        (
            "debug@9030000",
            &b"arm,coresight-cpu-debug\0arm,primecell\0"[..],
            GPIO,
        ),
        (
            "cti@9032000",
            b"arm,coresight-cti\0arm,primecell\0",
            GPIO + 0x2000,
        ),
    ] {
        let mut node = DeviceTreeNode::new(name).unwrap();
        let reg = [start.to_be_bytes(), 0x1000_u64.to_be_bytes()].concat();
        for (name, value) in [
            ("compatible", kinds),
            ("reg", &reg),
            ("cpu", &[0, 0, 0x80, 0]),
        ] {
            node.add_property(DeviceTreeProperty::new(name, value).unwrap());
        }
        for name in ["clocks", "clock-names"] {
            let clock = gpio.property(name).expect("a PrimeCell has a clock");
            node.add_property(clock.clone());
        }
        tree.root.add_child(node);
    }
}

#[test]
fn the_cpus_debug_registers_are_not_the_guests() {
    let guest = probe::guest("test=debug-registers generations=2");
    let boot = boot_changed(&machine(2), &guest, Vec::new(), 120, rename);
    boot.expect(
        "baton: the guest does without the CPUs' debug registers at 0x9030000-0x9031000 (4 KiB), 0x9032000-0x9033000 (4 KiB)",
    );
    boot.expect("guest access at 0x9030ff0 is of a CPU's debug registers");
    boot.expect_lines(
        3,
        "probe: debug registers at 0x9030000 are disabled, and read zero",
    );
    boot.expect("probe: PASS");
    boot.expect_end();
}

/// A kernel with a tree that has them enabled looks for PrimeCells there, and finds none.
#[test]
fn linux_with_the_boards_own_tree_finds_no_debug_registers() {
    let scratch = Scratch::new("external-debug");
    let mut machine = machine(2);
    let mut own = tree(&machine, &[], &scratch);
    rename(&mut own);
    // kexec-tools take no tree with a seed for KASLR that was not used.
    let chosen = own.find_node_mut("/chosen").expect("virt has /chosen");
    chosen.remove_property("kaslr-seed");
    machine.disks = vec![Disk::kernels(scratch.write("board.dtb", &own.to_dtb()))];
    let boot = boot_changed(&machine, &Task::Tree.guest(""), Vec::new(), 400, rename);
    boot.expect("did not reserve the monitor's memory: it does now");
    boot.expect("guest access at 0x9030f");
    boot.expect_ok(guest::check(&boot, 2, 2));
    linux::expect_carried(&boot);
}
