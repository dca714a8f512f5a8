// SPDX-License-Identifier: Apache-2.0
//! Trees for tests, in the likeness of QEMU's virt machine.

use alloc::vec::Vec;
use dtoolkit::ToPropertyValue;
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

/// A tree to change.
#[derive(Clone)]
pub struct Sample(pub DeviceTree);

/// Cells of 64-bit numbers, two each.
pub fn wide(numbers: &[u64]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect()
}

/// Cells, one a number.
pub fn cells(numbers: &[u32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect()
}

impl Sample {
    /// A root alone.
    pub fn empty() -> Self {
        Self(DeviceTree::new())
    }

    /// Two CPUs, 1 GiB of memory, GICv3 with an ITS, a PL011, a kernel and a ramdisk.
    pub fn virt() -> Self {
        let mut tree = Self::empty();
        tree.set("/", "#address-cells", 2u32)
            .set("/", "#size-cells", 2u32);
        tree.set("/chosen", "bootargs", "log=debug").set(
            "/chosen",
            "stdout-path",
            "/pl011@9000000",
        );
        let kernel = "/chosen/module@0x44000000";
        tree.strings(
            kernel,
            "compatible",
            &["multiboot,module", "multiboot,kernel"],
        )
        .set(kernel, "reg", wide(&[0x4400_0000, 0x10_0000]))
        .set(kernel, "bootargs", "console=ttyAMA0 quiet");
        let ramdisk = "/chosen/module@0x4a000000";
        tree.strings(
            ramdisk,
            "compatible",
            &["multiboot,module", "multiboot,ramdisk"],
        )
        .set(ramdisk, "reg", wide(&[0x4a00_0000, 0x1234]));
        tree.set("/memory@40000000", "device_type", "memory").set(
            "/memory@40000000",
            "reg",
            wide(&[0x4000_0000, 0x4000_0000]),
        );
        tree.set("/cpus", "#address-cells", 1u32)
            .set("/cpus", "#size-cells", 0u32);
        for (path, reg) in [("/cpus/cpu@0", 0u32), ("/cpus/cpu@1", 1)] {
            tree.set(path, "device_type", "cpu")
                .set(path, "enable-method", "psci")
                .set(path, "reg", reg);
        }
        tree.strings(
            "/psci",
            "compatible",
            &["arm,psci-1.0", "arm,psci-0.2", "arm,psci"],
        )
        .set("/psci", "method", "smc");
        let gic = "/intc@8000000";
        tree.set(gic, "compatible", "arm,gic-v3")
            .set(gic, "#redistributor-regions", 1u32)
            .set(
                gic,
                "reg",
                wide(&[0x800_0000, 0x1_0000, 0x80a_0000, 0xf6_0000]),
            )
            .set(gic, "#address-cells", 2u32)
            .set(gic, "#size-cells", 2u32)
            .set(gic, "ranges", Vec::new())
            .set("/intc@8000000/its@8080000", "compatible", "arm,gic-v3-its")
            .set(
                "/intc@8000000/its@8080000",
                "reg",
                wide(&[0x808_0000, 0x2_0000]),
            );
        tree.strings(
            "/pl011@9000000",
            "compatible",
            &["arm,pl011", "arm,primecell"],
        )
        .set("/pl011@9000000", "reg", wide(&[0x900_0000, 0x1000]));
        tree
    }

    /// The node of a full path, made if it is not there.
    pub fn node(&mut self, path: &str) -> &mut DeviceTreeNode {
        path.split('/')
            .filter(|name| !name.is_empty())
            .fold(&mut self.0.root, |node, name| {
                node.add_child_mut(DeviceTreeNode::new_unchecked(name))
            })
    }

    /// Sets a property.
    pub fn set(&mut self, path: &str, name: &str, value: impl Value) -> &mut Self {
        let value = value.bytes();
        let property = DeviceTreeProperty::new_unchecked(name, value.as_slice());
        self.node(path).add_property(property);
        self
    }

    /// Sets a property to a list of strings.
    pub fn strings(&mut self, path: &str, name: &str, values: &[&str]) -> &mut Self {
        let mut bytes = alloc::vec![0; values.property_value_len()];
        values.write_property_value(&mut bytes);
        self.set(path, name, bytes)
    }

    /// Takes a property away.
    pub fn unset(&mut self, path: &str, name: &str) -> &mut Self {
        self.node(path)
            .remove_property(name)
            .expect("a property to remove");
        self
    }

    /// Takes a node away.
    pub fn remove(&mut self, path: &str) -> &mut Self {
        let (parent, name) = path.rsplit_once('/').expect("a full path");
        self.node(parent)
            .remove_child(name)
            .expect("a node to remove");
        self
    }

    /// The tree as a blob.
    pub fn blob(&self) -> Vec<u8> {
        self.0.to_dtb()
    }

    /// Opens the tree, and hands it to `read`.
    pub fn read<T>(&self, read: impl FnOnce(Fdt<'_>) -> T) -> T {
        read(super::blob::open(&self.blob()).expect("a tree that opens"))
    }
}

/// What a property can be set to.
pub trait Value {
    /// The property's value.
    fn bytes(self) -> Vec<u8>;
}

impl Value for Vec<u8> {
    fn bytes(self) -> Vec<u8> {
        self
    }
}

impl Value for u32 {
    fn bytes(self) -> Vec<u8> {
        cells(&[self])
    }
}

impl Value for &str {
    fn bytes(self) -> Vec<u8> {
        self.bytes().chain([0]).collect()
    }
}
