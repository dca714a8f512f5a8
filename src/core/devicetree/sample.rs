// SPDX-License-Identifier: Apache-2.0
//! Trees for tests, like that of QEMU's virt machine.

use alloc::vec::Vec;
use dtoolkit::ToPropertyValue;
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

/// A tree that a test can change.
#[derive(Clone)]
pub struct Sample(pub DeviceTree);

/// Returns the cells of 64-bit numbers, two each.
pub fn wide(numbers: &[u64]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect()
}

/// Returns the cells of 32-bit numbers, one each.
pub fn cells(numbers: &[u32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect()
}

impl Sample {
    /// Returns a tree with a root alone.
    pub fn empty() -> Self {
        Self(DeviceTree::new())
    }

    /// Returns a tree with two CPUs, 1 GiB of memory, a GICv3 with an ITS, a PL011, a kernel and a
    /// ramdisk.
    pub fn virt() -> Self {
        let mut tree = Self::empty();
        tree.set_cells("/", 2, 2);
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
        tree.set_cells("/cpus", 1, 0);
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
            .set_cells(gic, 2, 2)
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

    /// Returns the node of a full path; makes it if it is not there.
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

    /// Sets how many cells addresses and sizes below a node have.
    pub fn set_cells(&mut self, path: &str, address: u32, size: u32) -> &mut Self {
        self.set(path, "#address-cells", address)
            .set(path, "#size-cells", size)
    }

    /// Sets a property to a list of strings.
    pub fn strings(&mut self, path: &str, name: &str, values: &[&str]) -> &mut Self {
        let mut bytes = alloc::vec![0; values.property_value_len()];
        values.write_property_value(&mut bytes);
        self.set(path, name, bytes)
    }

    /// Removes a property, which must be there.
    pub fn unset(&mut self, path: &str, name: &str) -> &mut Self {
        self.node(path)
            .remove_property(name)
            .expect("a property to remove");
        self
    }

    /// Removes a node, which must be there.
    pub fn remove(&mut self, path: &str) -> &mut Self {
        let (parent, name) = path.rsplit_once('/').expect("a full path");
        self.node(parent)
            .remove_child(name)
            .expect("a node to remove");
        self
    }

    /// Returns the tree as a blob.
    pub fn blob(&self) -> Vec<u8> {
        self.0.to_dtb()
    }

    /// Opens the tree, and returns what `read` makes of it.
    pub fn read<T>(&self, read: impl FnOnce(Fdt<'_>) -> T) -> T {
        read(super::blob::open(&self.blob()).expect("a tree that opens"))
    }
}

/// A value that a property can be set to.
pub trait Value {
    /// Returns the value's bytes.
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
