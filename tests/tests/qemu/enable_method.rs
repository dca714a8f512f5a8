// SPDX-License-Identifier: Apache-2.0
//! CPUs of the device tree that nobody can start: the guest runs without them, and each is named once.

use crate::{linux, probe};
use baton_qemu::linux::{Generation, generations};
use baton_tests::{Boot, boot_changed, machine};
use dtoolkit::Node;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

/// Sets a property of the CPU with this number, or takes it away.
pub fn set_cpu(tree: &mut DeviceTree, number: u64, name: &str, value: Option<&[u8]>) {
    let cpu = tree
        .find_node_mut(&format!("/cpus/cpu@{number}"))
        .expect("virt names its CPUs by their affinity");
    cpu.remove_property(name);
    if let Some(value) = value {
        cpu.add_property(DeviceTreeProperty::new(name, value).unwrap());
    }
}

/// Linux boots with the first `online` of its 4 CPUs on a changed tree, and kexecs; each kernel has as many.
#[track_caller]
fn linux_kexecs(smp: u32, online: u32, change: impl FnOnce(&mut DeviceTree)) -> Boot {
    let guest = linux::KEXEC.guest("");
    let boot = boot_changed(&machine(smp), &guest, Vec::new(), 300, change);
    expect_kexec(&boot, online);
    boot
}

/// Expects two kernels with `online` CPUs each, the second by the monitor.
#[track_caller]
pub fn expect_kexec(boot: &Boot, online: u32) {
    boot.expect_end();
    boot.expect_no("baton: error: ");
    linux::expect_carried(boot);
    let seen: Vec<_> = generations(boot)
        .into_iter()
        .map(|Generation { number, online, .. }| (number, online))
        .collect();
    if seen != [(0, online), (1, online)] {
        boot.fail(format_args!(
            "expected two kernels with {online} CPUs online, seen (number, CPUs) {seen:?}"
        ));
    }
}

/// One CPU has no enable-method, one a spin table without an address.
#[test]
fn linux_loses_cpus_without_a_usable_method_only() {
    let boot = linux_kexecs(4, 2, |tree| {
        set_cpu(tree, 1, "enable-method", None);
        set_cpu(tree, 2, "enable-method", Some(b"spin-table\0"));
    });
    for (mpidr, why) in [
        (1, "it has no enable-method"),
        (2, "its spin table has no cpu-release-addr"),
    ] {
        boot.expect_lines(
            1,
            &format!(
                "baton: warning: CPU with MPIDR {mpidr:#x} cannot be started: {why}; the guest runs without it"
            ),
        );
    }
    boot.expect("2 of 2 CPUs taken, 0 missing, 0 steps failed");
}

/// Firmware would start a CPU that the tree gives an unknown method. The guest is not offered it, and is
/// refused where it asks all the same.
#[test]
fn what_is_not_offered_cannot_be_started() {
    let guest = probe::guest("test=left-out");
    let boot = boot_changed(&machine(3), &guest, Vec::new(), 60, |tree| {
        set_cpu(tree, 2, "enable-method", Some(b"acme,smp\0"));
    });
    boot.expect_lines(1, "CPU with MPIDR 0x2 cannot be started");
    boot.expect("probe: left out: CPU_ON of CPU 0x2: -2");
    boot.expect("probe: PASS");
    boot.expect_end();
}

/// No PSCI: the machine runs on the CPU that it has, as under Linux alone. Nothing tells how to switch it
/// off then.
#[test]
fn one_cpu_runs_without_psci() {
    let guest = probe::guest("test=kexec");
    let boot = boot_changed(&machine(2), &guest, Vec::new(), 30, |tree| {
        tree.root.remove_child("psci").expect("virt has PSCI");
    });
    boot.expect_lines(
        1,
        "CPU with MPIDR 0x1 cannot be started: its enable-method is \"psci\", and no available node",
    );
    boot.expect("baton: no PSCI firmware: there is one CPU");
    boot.expect("1 of 1 CPUs taken, 0 missing, 0 steps failed");
    boot.expect("probe: PASS");
}

/// A CPU that the tree has and the machine does not: no redistributor is its.
#[test]
fn a_cpu_that_the_machine_does_not_have_fails_no_step() {
    let boot = linux_kexecs(3, 3, |tree| {
        let cpus = tree.find_node_mut("/cpus").unwrap();
        let third = cpus.child("cpu@2").expect("virt has a third CPU");
        let mut fourth = DeviceTreeNode::new("cpu@3").unwrap();
        for property in third.properties() {
            fourth.add_property(property.clone());
        }
        // References are to the third one.
        fourth.remove_property("phandle");
        cpus.add_child(fourth);
        set_cpu(tree, 3, "reg", Some(&3_u32.to_be_bytes()));
    });
    boot.expect_lines(
        1,
        "baton: warning: cpu 3 (MPIDR 0x3) is in the machine's description and not in the machine: no redistributor",
    );
    boot.expect("0 missing, 0 steps failed");
    boot.expect_no("step \"");
}
