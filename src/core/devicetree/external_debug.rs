// SPDX-License-Identifier: Apache-2.0
//! The debug registers of CPUs that lie in memory (Arm ARM, H8), by which one CPU can halt another and lead it:
//! their own, and those of their cross triggers (Linux's arm,coresight-cpu-debug.yaml, arm,coresight-cti.yaml).

use super::blob;
use super::node::Located;
use crate::memory::region::RegionSet;
use crate::words::has;
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::{Node, Property};

/// What all of their names begin with, behind the maker's.
const COMMON: &[u8] = b"coresight-c";
/// A CPU's own registers.
const DEBUG: &[u8] = b"arm,coresight-cpu-debug";
/// A cross trigger, and one that is connected to a CPU as the architecture says.
const TRIGGER: &[u8] = b"arm,coresight-cti";
const TRIGGER_OF_A_CPU: &[u8] = b"arm,coresight-cti-v8-arch";

/// Returns where the tree says that there are such registers, whether they may be used or not.
pub fn registers(fdt: Fdt<'_>) -> RegionSet {
    let mut registers = RegionSet::new();
    if may_have_any(fdt)
        && let Some(root) = Located::find(fdt, "/")
    {
        add(&root, &mut registers);
    }
    registers
}

/// Returns whether the tree can have such nodes: most have none, and a walk through all nodes takes long.
pub fn may_have_any(fdt: Fdt<'_>) -> bool {
    let structure = blob::structure(fdt.data()).unwrap_or(fdt.data());
    let mut behind_commas = structure.split(|byte| *byte == b',').skip(1);
    behind_commas.any(|name| name.starts_with(COMMON))
}

fn add(node: &Located<'_>, registers: &mut RegionSet) {
    if leads_a_cpu(&node.node) {
        node.translated_regs(|region| registers.insert(region));
    }
    node.children().for_each(|child| add(&child, registers));
}

/// Tells a kernel to leave all such registers alone.
pub fn disable(node: &mut DeviceTreeNode) {
    if leads_a_cpu(&*node) {
        node.remove_property("status");
        node.add_property(DeviceTreeProperty::new_unchecked(
            "status",
            b"disabled\0".as_slice(),
        ));
    }
    node.children_mut().for_each(disable);
}

/// Returns whether a node is of such registers. A cross trigger of trace buffers, or of all the system, reaches a
/// CPU only by what that CPU's own lets through.
fn leads_a_cpu<N: Node>(node: &N) -> bool {
    let compatible = node.property("compatible");
    let is = |kind| {
        let own = compatible.as_ref().map(|property| property.value());
        has(own.unwrap_or_default(), 0, kind)
    };
    is(DEBUG) || is(TRIGGER_OF_A_CPU) || is(TRIGGER) && names_a_cpu(node)
}

/// Returns whether a cross trigger says that a CPU is at one of its ends, itself or by a connection.
fn names_a_cpu<N: Node>(node: &N) -> bool {
    node.property("cpu").is_some()
        || node
            .children()
            .any(|connection| connection.property("cpu").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devicetree::sample::{Sample, cells, wide};
    use crate::memory::region::Region;
    use alloc::string::String;
    use alloc::vec::Vec;

    fn registers_of(tree: &Sample) -> RegionSet {
        tree.read(registers)
    }

    fn set(pages: &[u64]) -> RegionSet {
        let page = |start: &u64| Region::new(*start, 0x1000).expect("test region");
        pages.iter().map(page).collect()
    }

    /// As Juno has them: at the root, a cross trigger that does not name its CPU, and one of the trace buffers.
    #[test]
    fn those_of_a_cluster_at_the_root_are_found() {
        let mut tree = Sample::virt();
        let debug = "/cpu-debug@22010000";
        tree.strings(
            debug,
            "compatible",
            &["arm,coresight-cpu-debug", "arm,primecell"],
        )
        .set(debug, "reg", wide(&[0x2201_0000, 0x1000]));
        let trigger = "/cti@22020000";
        let kinds = [
            "arm,coresight-cti-v8-arch",
            "arm,coresight-cti",
            "arm,primecell",
        ];
        tree.strings(trigger, "compatible", &kinds).set(
            trigger,
            "reg",
            wide(&[0x2202_0000, 0x1000]),
        );
        let system = "/cti@20020000";
        tree.strings(
            system,
            "compatible",
            &["arm,coresight-cti", "arm,primecell"],
        )
        .set(system, "reg", wide(&[0x2002_0000, 0x1000]))
        .set(&connection(system), "arm,trig-in-sigs", cells(&[2, 3]));
        tree.strings(
            "/etm@22040000",
            "compatible",
            &["arm,coresight-etm4x", "arm,primecell"],
        )
        .set("/etm@22040000", "reg", wide(&[0x2204_0000, 0x1000]))
        .set("/etm@22040000", "cpu", 1u32);
        assert_eq!(registers_of(&tree), set(&[0x2201_0000, 0x2202_0000]));
    }

    fn connection(trigger: &str) -> String {
        alloc::format!("{trigger}/trig-conns@0")
    }

    /// As MSM8916 and Hi6220 have them: below a bus with one cell an address, each with its CPU; and a cross
    /// trigger that names it in a connection.
    #[test]
    fn those_on_a_bus_are_found_where_the_cpu_has_them() {
        let mut tree = Sample::virt();
        tree.set_cells("/soc@0", 1, 1)
            .set("/soc@0", "compatible", "simple-bus")
            .set(
                "/soc@0",
                "ranges",
                cells(&[0, 0x1, 0x0000_0000, 0xffff_ffff]),
            );
        for (path, kinds, start) in [
            (
                "/soc@0/debug@850000",
                ["arm,coresight-cpu-debug", "arm,primecell"],
                0x85_0000,
            ),
            (
                "/soc@0/cti@858000",
                ["arm,coresight-cti", "arm,primecell"],
                0x85_8000,
            ),
        ] {
            tree.strings(path, "compatible", &kinds)
                .set(path, "reg", cells(&[start, 0x1000]))
                .set(path, "cpu", 7u32);
        }
        let connected = "/soc@0/cti@85a000";
        tree.set(connected, "compatible", "arm,coresight-cti")
            .set(connected, "reg", cells(&[0x85_a000, 0x1000]))
            .set(&connection(connected), "cpu", 7u32);
        let expected = [0x1_0085_0000, 0x1_0085_8000, 0x1_0085_a000];
        assert_eq!(registers_of(&tree), set(&expected));
        // One that the board's own tree has switched off is there all the same.
        tree.set("/soc@0/debug@850000", "status", "disabled");
        assert_eq!(
            registers_of(&tree),
            set(&expected),
            "with one that is disabled"
        );
        // A bus that the CPU does not address.
        tree.unset("/soc@0", "ranges");
        assert_eq!(registers_of(&tree), RegionSet::new(), "without ranges");
    }

    #[test]
    fn they_are_disabled_and_nothing_else() {
        let mut tree = Sample::virt();
        let (debug, trigger, system) =
            ("/soc@0/debug@850000", "/soc@0/cti@858000", "/cti@20020000");
        tree.set(debug, "compatible", "arm,coresight-cpu-debug")
            .set(debug, "status", "okay")
            .set(trigger, "compatible", "arm,coresight-cti")
            .set(trigger, "cpu", 7u32)
            .set(system, "compatible", "arm,coresight-cti")
            .set(system, "status", "okay");
        let mut expected = tree.clone();
        disable(&mut tree.0.root);
        for path in [debug, trigger] {
            expected.set(path, "status", "disabled");
        }
        assert_eq!(tree.0, expected.0);
    }

    #[test]
    fn a_board_without_them_has_none() {
        assert_eq!(registers_of(&Sample::virt()), RegionSet::new());
        let mut tree = Sample::virt();
        tree.set(
            "/cpu-debug@22010000",
            "compatible",
            "arm,coresight-cpu-debug",
        );
        assert_eq!(
            registers_of(&tree),
            RegionSet::new(),
            "registers that are nowhere"
        );
        tree.set("/cpu-debug@22010000", "reg", Vec::new());
        assert_eq!(registers_of(&tree), RegionSet::new(), "an empty reg");
    }
}
