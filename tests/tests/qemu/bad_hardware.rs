// SPDX-License-Identifier: Apache-2.0
//! Hardware that does not work as it should: it is named in the report, and the reboot goes on.

use crate::probe;
use baton_qemu::{Machine, layout, paths};
use baton_tests::{Blob, Scratch, boot_by_hand, boot_changed, machine, tree};
use dtoolkit::model::{DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::{Node, Property};

/// Bytes of a GICv3 redistributor: two frames of 64 KiB.
const REDISTRIBUTOR: u64 = 0x2_0000;

/// The device tree has redistributors for three of four CPUs.
#[test]
fn redistributor_that_is_not_there() {
    let scratch = Scratch::new("redistributor");
    let machine = Machine {
        its: false,
        ..machine(4)
    };
    let probe = scratch.read(&paths::probe());
    let mut tree = tree(&machine, &[], &scratch);
    let mut module = DeviceTreeNode::new(format!("module@{:x}", layout::KERNEL)).unwrap();
    let reg = [layout::KERNEL, probe.len() as u64].map(u64::to_be_bytes);
    for (name, value) in [
        ("compatible", b"multiboot,kernel\0".to_vec()),
        ("reg", reg.concat()),
        ("bootargs", b"test=kexec state=masked-loop\0".to_vec()),
    ] {
        module.add_property(DeviceTreeProperty::new(name, value).unwrap());
    }
    tree.find_node_mut("/chosen").unwrap().add_child(module);

    let gic = tree
        .root
        .children_mut()
        .find(|node| node.name().starts_with("intc@"))
        .expect("virt has a GIC");
    let mut reg = gic.property("reg").unwrap().value().to_vec();
    // Distributor, then redistributors: address and size of two cells each.
    reg[24..32].copy_from_slice(&(3 * REDISTRIBUTOR).to_be_bytes());
    gic.property_mut("reg").unwrap().set_value(reg);

    let kernel = Blob {
        at: layout::KERNEL,
        bytes: probe,
    };
    let boot = boot_by_hand(&machine, &tree.to_dtb(), &[kernel], 60, &scratch);
    boot.expect("baton: warning: cpu 3: step \"redistributor\" failed: no redistributor for 0x3");
    // The next kernel runs, and finds the four steps in the report: redistributor, LPIs, their cache,
    // SGIs.
    boot.expect("probe: memory content came over");
    boot.expect("probe: FAIL failed_steps: expected 0, seen 4");
    boot.expect_end();
}

/// The device tree has a host bridge and an SMMU where every load is aborted.
#[test]
fn configuration_space_and_smmu_that_do_not_answer() {
    const NOTHING: u64 = 0x50_0000_0000;
    let machine = machine(4);
    let boot = boot_changed(
        &machine,
        &probe::guest("test=kexec"),
        Vec::new(),
        60,
        |tree| {
            let nodes: [(&str, &[u8], &[u8], u64); 2] = [
                ("pcie", b"pci\0", b"pci-host-ecam-generic\0", 16 << 20),
                ("iommu", b"\0", b"arm,smmu-v3\0", 0x2_0000),
            ];
            for (name, device_type, compatible, size) in nodes {
                let name = format!("{name}@{NOTHING:x}");
                let mut node = DeviceTreeNode::new(name).unwrap();
                for (name, value) in [
                    ("device_type", device_type.to_vec()),
                    ("compatible", compatible.to_vec()),
                    ("reg", [NOTHING, size].map(u64::to_be_bytes).concat()),
                ] {
                    node.add_property(DeviceTreeProperty::new(name, value).unwrap());
                }
                tree.root.add_child(node);
            }
        },
    );
    boot.expect(
        "baton: warning: SMMU at 0x5000000000-0x5000001000 (4 KiB): it does not answer, and is left alone",
    );
    boot.expect("baton: PCI functions that lost their bus mastering: ");
    boot.expect("probe: PASS");
    boot.expect_end();
}
