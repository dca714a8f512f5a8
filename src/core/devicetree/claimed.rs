// SPDX-License-Identifier: Apache-2.0
//! Which addresses the tree gives to anything: where there can be no memory that it does not have.

use super::node::{Located, bytes};
use crate::memory::region::{Region, RegionSet};
use crate::words::has;
use dtoolkit::fdt::Fdt;

/// Returns all that a `reg` or a reservation names: memory, devices, whether they may be used or not, and
/// what is reserved; and the windows of buses whose devices are found by asking them, as PCI.
///
/// What the CPU does not address, as no bus above maps it, is left out.
pub fn read(fdt: Fdt<'_>) -> RegionSet {
    let mut claimed: RegionSet = fdt
        .memory_reservations()
        .filter_map(|reservation| Region::new(reservation.address(), reservation.size()).ok())
        .collect();
    if let Some(root) = Located::find(fdt, "/") {
        add(&root, &mut claimed);
    }
    claimed
}

/// Memory that is no RAM: firmware may run in place there.
const IN_PLACE: [&[u8]; 5] = [
    b"cfi-flash",
    b"jedec-flash",
    b"mtd-rom",
    b"mtd-ram",
    b"mmio-sram",
];

/// Returns what is claimed and is memory of another kind than RAM, in which code can run.
pub fn in_place(fdt: Fdt<'_>) -> RegionSet {
    let mut memory = RegionSet::new();
    if let Some(root) = Located::find(fdt, "/") {
        add_in_place(&root, &mut memory);
    }
    memory
}

fn add_in_place(node: &Located<'_>, memory: &mut RegionSet) {
    let compatible = bytes(&node.node, "compatible");
    if IN_PLACE.iter().any(|kind| has(compatible, 0, kind)) {
        node.translated_regs(|region| memory.insert(region));
    }
    node.children()
        .for_each(|child| add_in_place(&child, memory));
}

fn add(node: &Located<'_>, claimed: &mut RegionSet) {
    node.translated_regs(|region| claimed.insert(region));
    if !has_all_in_the_tree(node) {
        node.windows(|region| claimed.insert(region));
    }
    node.children().for_each(|child| add(&child, claimed));
}

/// Returns whether each device of a bus has a node (Devicetree Specification v0.4, 4.5): such a bus often
/// gives all addresses to its devices, memory's too.
fn has_all_in_the_tree(bus: &Located<'_>) -> bool {
    has(bytes(&bus.node, "compatible"), 0, b"simple-bus")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devicetree::blob;
    use crate::devicetree::sample::{Sample, cells, wide};

    #[track_caller]
    fn expect(tree: &Sample, start: u64, claimed: bool) {
        let blob = tree.blob();
        let seen = read(blob::open(&blob).expect("a tree"));
        assert_eq!(
            seen.enclosing(start).is_some(),
            claimed,
            "{start:#x} in {seen}"
        );
    }

    #[test]
    fn memory_and_devices_have_their_addresses() {
        let tree = Sample::virt();
        for start in [0x4000_0000, 0x7fff_ffff, 0x800_0000, 0x808_0000, 0x900_0fff] {
            expect(&tree, start, true);
        }
        // A CPU's reg and that of a module are no addresses of the CPU's.
        for start in [0, 1, 0x900_1000, 0x8000_0000] {
            expect(&tree, start, false);
        }
    }

    #[test]
    fn what_may_not_be_used_is_claimed_too() {
        let mut tree = Sample::virt();
        tree.set("/secram@e000000", "device_type", "memory")
            .set("/secram@e000000", "status", "disabled")
            .set("/secram@e000000", "reg", wide(&[0xe00_0000, 0x100_0000]));
        expect(&tree, 0xe00_0000, true);
    }

    /// Where QEMU has EDK2.
    #[test]
    fn flash_is_memory() {
        let mut tree = Sample::virt();
        tree.set("/flash@4000000", "compatible", "cfi-flash").set(
            "/flash@4000000",
            "reg",
            wide(&[0, 0x400_0000, 0x400_0000, 0x400_0000]),
        );
        let blob = tree.blob();
        let fdt = blob::open(&blob).expect("a tree");
        let expected: RegionSet = Region::new(0, 0x800_0000).into_iter().collect();
        assert_eq!(in_place(fdt), expected);
    }

    #[test]
    fn what_is_reserved_outside_memory_is_claimed() {
        let mut tree = Sample::virt();
        let firmware = "/reserved-memory/fw@fe000000";
        tree.set_cells("/reserved-memory", 2, 2)
            .set("/reserved-memory", "ranges", Vec::new())
            .set(firmware, "reg", wide(&[0xfe00_0000, 0x1000]));
        expect(&tree, 0xfe00_0000, true);
    }

    #[test]
    fn windows_of_pci_are_claimed_and_those_of_a_simple_bus_are_not() {
        let mut tree = Sample::virt();
        let window = [0x0200_0000, 0, 0x1000_0000, 0x80, 0, 0x40, 0];
        for bus in ["/soc@0", "/soc@0/pcie@3f000000"] {
            tree.set_cells(bus, if bus == "/soc@0" { 2 } else { 3 }, 2);
        }
        tree.set("/soc@0", "compatible", "simple-bus")
            .set(
                "/soc@0",
                "ranges",
                wide(&[0, 0x1_0000_0000, 0x100_0000_0000]),
            )
            .set("/soc@0/pcie@3f000000", "device_type", "pci")
            .set("/soc@0/pcie@3f000000", "ranges", cells(&window));
        expect(&tree, 0x81_0000_0000, true);
        expect(&tree, 0xc0_ffff_ffff, true);
        expect(&tree, 0x80_ffff_ffff, false);
        expect(&tree, 0xc1_0000_0000, false);
    }
}
