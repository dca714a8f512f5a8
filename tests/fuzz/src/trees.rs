// SPDX-License-Identifier: Apache-2.0
//! Device trees: a sound one, changed as an input says.

use crate::input::Input;
pub use baton_core::devicetree::sample::Sample;
use dtoolkit::memreserve::MemoryReservation;
use dtoolkit::model::{DeviceTreeNode, DeviceTreeProperty};

/// Nodes of the sound tree, and some more that the monitor looks for.
pub const NODES: [&str; 20] = [
    "/",
    "/chosen",
    "/chosen/module@0x44000000",
    "/chosen/module@0x4a000000",
    "/chosen/module@3",
    "/memory@40000000",
    "/memory@80000000",
    "/reserved-memory",
    "/reserved-memory/fw@50000000",
    "/reserved-memory/baton@7fe00000",
    "/cpus",
    "/cpus/cpu@0",
    "/cpus/cpu@1",
    "/psci",
    "/intc@8000000",
    "/intc@8000000/its@8080000",
    "/pl011@9000000",
    "/soc",
    "/soc/serial@1000",
    "/aliases",
];

/// Nodes that say what the monitor has to run.
pub const MODULE_NODES: [&str; 6] = [
    "/",
    "/chosen",
    "/chosen/module@0x44000000",
    "/chosen/module@0x4a000000",
    "/chosen/module@3",
    "/chosen/module@4",
];

/// Properties that the monitor reads.
const PROPERTIES: [&str; 28] = [
    "reg",
    "compatible",
    "status",
    "device_type",
    "#address-cells",
    "#size-cells",
    "ranges",
    "bootargs",
    "stdout-path",
    "serial0",
    "enable-method",
    "cpu-release-addr",
    "method",
    "#redistributor-regions",
    "redistributor-stride",
    "msi-controller",
    "mbi-ranges",
    "mbi-alias",
    "no-map",
    "linux,usable-memory",
    "linux,initrd-start",
    "linux,initrd-end",
    "reg-shift",
    "reg-io-width",
    "reg-offset",
    "big-endian",
    "capacity-dmips-mhz",
    "linux,kho-fdt",
];

/// Strings that mean something in some property.
const TEXTS: [&str; 30] = [
    "okay",
    "disabled",
    "fail",
    "memory",
    "cpu",
    "psci",
    "spin-table",
    "smc",
    "hvc",
    "arm,psci",
    "arm,psci-0.2",
    "arm,psci-1.0",
    "arm,gic-v3",
    "arm,gic-v3-its",
    "arm,gic-400",
    "arm,cortex-a15-gic",
    "arm,gic-v2m-frame",
    "arm,pl011",
    "arm,sbsa-uart",
    "ns16550a",
    "snps,dw-apb-uart",
    "multiboot,module",
    "multiboot,kernel",
    "multiboot,ramdisk",
    "xen,linux-zimage",
    "xen,linux-initrd",
    "serial0:115200n8",
    "/soc/serial@1000",
    "arm,dsu-pmu",
    "quiet console=ttyAMA0",
];

/// Changes `tree` at `nodes` as `input` says, to its end.
pub fn change(tree: &mut Sample, nodes: &[&str], input: &mut Input<'_>) {
    while !input.is_empty() {
        let kind = input.u8();
        let path = input.choice(nodes);
        match kind % 8 {
            0 => drop_node(tree, path),
            1 => {
                let name = input.choice(&PROPERTIES);
                tree.node(path).remove_property(name);
            }
            2 => {
                let count = usize::from(input.u8() % 4);
                let texts: Vec<&str> = (0..count).map(|_| input.choice(&TEXTS)).collect();
                tree.strings(path, "compatible", &texts);
            }
            3 => {
                let (name, text) = (input.choice(&PROPERTIES), input.choice(&TEXTS));
                tree.set(path, name, text);
            }
            4 => {
                let (name, size) = (input.choice(&PROPERTIES), input.u8() % 64);
                let value = input.bytes(size.into());
                set(tree, path, name, value.to_vec());
            }
            5 => {
                let (name, count) = (input.choice(&PROPERTIES), input.u8() % 8);
                let numbers = (0..count).flat_map(|_| input.edge().to_be_bytes());
                let value = numbers.collect();
                set(tree, path, name, value);
            }
            6 => {
                let (name, count) = (input.choice(&PROPERTIES), input.u8() % 8);
                let numbers = (0..count).flat_map(|_| (input.edge() as u32).to_be_bytes());
                let value = numbers.collect();
                set(tree, path, name, value);
            }
            _ => {
                let (start, size) = (input.edge(), input.edge());
                if (start, size) != (0, 0) {
                    let entry = MemoryReservation::new(start, size);
                    tree.0.memory_reservations.push(entry);
                }
            }
        }
    }
}

fn set(tree: &mut Sample, path: &str, name: &str, value: Vec<u8>) {
    let property = DeviceTreeProperty::new_unchecked(name, value.as_slice());
    tree.node(path).add_property(property);
}

fn drop_node(tree: &mut Sample, path: &str) {
    if let Some((parent, name)) = path.rsplit_once('/').filter(|(_, name)| !name.is_empty()) {
        let parent: &mut DeviceTreeNode = tree.node(parent);
        parent.remove_child(name);
    }
}
