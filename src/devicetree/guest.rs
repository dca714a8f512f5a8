//! The device tree that the guest is given.

use super::blob::{self, BOOT_CPUID_OFFSET, BlobError};
use super::modules::is_module;
use super::node::{is_available, number};
use crate::memory::region::Region;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::standard::{AddressSpaceProperties, NodeStandard};
use dtoolkit::{Node, Property};
use thiserror::Error;

/// Properties of a memory node that say where memory is; Linux takes the second one if it is there.
const MEMORY_PROPERTIES: [&str; 2] = ["reg", "linux,usable-memory"];
/// Most regions of `/reserved-memory` that may together cover the monitor's.
const MAX_PARTS: usize = 16;

/// What the guest's tree says that the board's does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestTree<'a> {
    /// The monitor's own memory, which the guest must not use.
    pub monitor: Region,
    /// The guest's command line; without one, the guest finds none.
    pub bootargs: Option<&'a str>,
    /// Where the initial ramdisk lies; without one, the guest finds none.
    pub ramdisk: Option<Region>,
}

/// Why a tree for the guest cannot be made, or not be judged.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TreeError {
    /// The tree does not parse.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The length of a property does not fit the cells of its parent, or these are not 1 or 2.
    #[error(
        "{node}: {property} does not fit #address-cells {address_cells} and #size-cells {size_cells}"
    )]
    Cells {
        /// Path of the node.
        node: String,
        /// Name of the property.
        property: &'static str,
        /// `#address-cells` of the parent.
        address_cells: u32,
        /// `#size-cells` of the parent.
        size_cells: u32,
    },
    /// An address or a size needs more than the one cell it has.
    #[error("{node}: {region} does not fit its cells")]
    Wide {
        /// Path of the node.
        node: String,
        /// The region.
        region: Region,
    },
    /// The command line has a NUL in it.
    #[error("the guest's command line has a NUL at byte {0}")]
    Bootargs(usize),
}

/// Makes the guest's tree from the board's: the monitor's memory is taken out of `/memory` and
/// named in `/reserved-memory` as `no-map`, and `/chosen` has the guest's own command line and
/// ramdisk in place of the modules.
///
/// All else stays, as the seeds, `stdout-path` and `linux,kho-*` in `/chosen`, and the memory
/// reservations do.
///
/// # Errors
///
/// [`TreeError`], with the node that stands in the way.
pub fn guest_tree(fdt: &[u8], config: &GuestTree<'_>) -> Result<Vec<u8>, TreeError> {
    if let Some(nul) = config.bootargs.and_then(|line| line.find('\0')) {
        return Err(TreeError::Bootargs(nul));
    }
    let fdt = blob::open(fdt)?;
    let mut tree = DeviceTree::from_fdt(&fdt);
    let cells = tree.root.address_space();
    trim_memory(&mut tree.root, cells, &config.monitor)?;
    reserve(&mut tree.root, cells, &config.monitor)?;
    choose(node_mut(&mut tree.root, "chosen"), config);

    let mut bytes = tree.to_dtb();
    // dtoolkit's model does not keep the boot CPU of the header.
    let boot_cpu = fdt.boot_cpuid_phys().to_be_bytes();
    if let Some(field) = bytes.get_mut(BOOT_CPUID_OFFSET..BOOT_CPUID_OFFSET + boot_cpu.len()) {
        field.copy_from_slice(&boot_cpu);
    }
    Ok(bytes)
}

fn trim_memory(
    root: &mut DeviceTreeNode,
    cells: AddressSpaceProperties,
    monitor: &Region,
) -> Result<(), TreeError> {
    let mut empty = Vec::new();
    for node in root.children_mut().filter(|node| is_memory(*node)) {
        for name in MEMORY_PROPERTIES {
            let path = || format!("/{}", (*node).name());
            let Some(property) = node.property(name) else {
                continue;
            };
            let banks: Vec<Region> = regions(&path(), name, property, cells)?.collect();
            if !banks.iter().any(|bank| bank.overlaps(monitor)) {
                continue;
            }
            // Banks keep the order of the tree: the first one is where Linux looks for low memory.
            let kept: Vec<Region> = banks
                .iter()
                .flat_map(|bank| bank.without(monitor))
                .flatten()
                .collect();
            if kept.is_empty() {
                empty.push(node.name().to_string());
            }
            let value = encode(&path(), &kept, cells)?;
            set(node, name, value);
        }
    }
    for name in empty {
        root.remove_child(&name);
    }
    Ok(())
}

/// Adds a child to `/reserved-memory` (Devicetree Specification v0.4, 3.5).
fn reserve(
    root: &mut DeviceTreeNode,
    cells: AddressSpaceProperties,
    monitor: &Region,
) -> Result<(), TreeError> {
    let parent = node_mut(root, "reserved-memory");
    for (name, count) in [
        ("#address-cells", cells.address_cells),
        ("#size-cells", cells.size_cells),
    ] {
        if parent.property(name).is_none() {
            set(parent, name, count.to_be_bytes().to_vec());
        }
    }
    if parent.property("ranges").is_none() {
        set(parent, "ranges", Vec::new());
    }
    let name = format!("baton@{:x}", monitor.start());
    let reg = encode(
        &format!("/reserved-memory/{name}"),
        &[*monitor],
        parent.address_space(),
    )?;
    let mut node = DeviceTreeNode::new_unchecked(name);
    set(&mut node, "reg", reg);
    set(&mut node, "no-map", Vec::new());
    parent.add_child(node);
    Ok(())
}

fn choose(chosen: &mut DeviceTreeNode, config: &GuestTree<'_>) {
    let modules = chosen.children().filter(is_module);
    let modules: Vec<String> = modules.map(|node| node.name().to_string()).collect();
    for name in modules {
        chosen.remove_child(&name);
    }
    for name in ["bootargs", "linux,initrd-start", "linux,initrd-end"] {
        chosen.remove_property(name);
    }
    if let Some(line) = config.bootargs {
        set(chosen, "bootargs", format!("{line}\0").into_bytes());
    }
    if let Some(ramdisk) = config.ramdisk {
        set(
            chosen,
            "linux,initrd-start",
            ramdisk.start().to_be_bytes().to_vec(),
        );
        set(
            chosen,
            "linux,initrd-end",
            ramdisk.end().to_be_bytes().to_vec(),
        );
    }
}

/// Says whether a kernel that is given the tree `fdt` keeps out of the monitor's memory: no memory
/// node has any of it but where a `no-map` region covers it. It does not allocate.
///
/// A kernel that is started by kexec gets a tree that its predecessor's tools made.
///
/// # Errors
///
/// [`TreeError`] if the tree does not parse; a node whose `reg` does not is taken for one that
/// neither has nor keeps out of anything.
pub fn keeps_out(fdt: &[u8], monitor: &Region) -> Result<bool, TreeError> {
    let fdt = blob::open(fdt)?;
    Ok(fdt.root().children().filter(is_memory).all(|node| {
        MEMORY_PROPERTIES.iter().all(|name| {
            banks(&node, name, fdt.root().address_space())
                .filter_map(|bank| bank.intersection(monitor))
                .all(|part| is_reserved(fdt, &part))
        })
    }))
}

fn is_reserved(fdt: Fdt<'_>, part: &Region) -> bool {
    let Some(parent) = fdt.find_node("/reserved-memory") else {
        return false;
    };
    let cells = parent.address_space();
    let mut open = part.start();
    for _ in 0..MAX_PARTS {
        let covering = parent
            .children()
            .filter(|node| node.property("no-map").is_some() && is_available(node))
            .find_map(|node| banks(&node, "reg", cells).find(|region| region.contains(open)));
        match covering {
            Some(region) if region.end() < part.end() => open = region.end(),
            Some(_) => return true,
            None => return false,
        }
    }
    false
}

fn banks<'a>(
    node: &FdtNode<'a>,
    name: &str,
    cells: AddressSpaceProperties,
) -> impl Iterator<Item = Region> + use<'a> {
    let sizes = [cells.address_cells as usize, cells.size_cells as usize];
    let entries = node
        .property(name)
        .and_then(|p| p.as_prop_encoded_array(sizes).ok());
    entries
        .into_iter()
        .flatten()
        .filter_map(|[start, size]| Region::new(number(start)?, number(size)?).ok())
}

fn is_memory<N: Node>(node: &N) -> bool {
    node.property("device_type")
        .is_some_and(|kind| kind.value() == b"memory\0")
}

/// Returns the child of that name, whatever its unit address; it is made if there is none.
fn node_mut<'a>(root: &'a mut DeviceTreeNode, name: &str) -> &'a mut DeviceTreeNode {
    let full = root
        .child(name)
        .map_or(name.to_string(), |node| node.name().to_string());
    root.add_child_mut(DeviceTreeNode::new_unchecked(full))
}

fn set(node: &mut DeviceTreeNode, name: &str, value: Vec<u8>) {
    match node.property_mut(name) {
        Some(property) => property.set_value(value.as_slice()),
        None => node.add_property(DeviceTreeProperty::new_unchecked(name, value.as_slice())),
    }
}

fn regions<'a>(
    path: &str,
    name: &'static str,
    property: &'a DeviceTreeProperty,
    cells: AddressSpaceProperties,
) -> Result<impl Iterator<Item = Region> + 'a, TreeError> {
    let AddressSpaceProperties {
        address_cells,
        size_cells,
    } = cells;
    let counts = [address_cells as usize, size_cells as usize];
    let entries = property.as_prop_encoded_array(counts).ok();
    let entries = entries.filter(|_| counts.iter().all(|count| (1..=2).contains(count)));
    let entries = entries.ok_or_else(|| TreeError::Cells {
        node: path.to_string(),
        property: name,
        address_cells,
        size_cells,
    })?;
    Ok(entries.filter_map(|[start, size]| Region::new(number(start)?, number(size)?).ok()))
}

fn encode(
    path: &str,
    regions: &[Region],
    cells: AddressSpaceProperties,
) -> Result<Vec<u8>, TreeError> {
    let mut bytes = Vec::new();
    for &region in regions {
        let wide = || TreeError::Wide {
            node: path.to_string(),
            region,
        };
        for (value, count) in [
            (region.start(), cells.address_cells),
            (region.size(), cells.size_cells),
        ] {
            match count {
                1 => bytes.extend(u32::try_from(value).map_err(|_| wide())?.to_be_bytes()),
                2 => bytes.extend(value.to_be_bytes()),
                _ => return Err(wide()),
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devicetree::board::{Board, BoardError};
    use crate::devicetree::sample::{Sample, cells, wide};
    use dtoolkit::memreserve::MemoryReservation;

    const MIB: u64 = 1 << 20;
    const MEMORY: &str = "/memory@40000000";

    fn region(start: u64, size: u64) -> Region {
        Region::new(start, size).expect("test region")
    }

    fn top() -> Region {
        region(0x8000_0000 - 2 * MIB, 2 * MIB)
    }

    fn config(monitor: Region) -> GuestTree<'static> {
        GuestTree {
            monitor,
            bootargs: Some("quiet"),
            ramdisk: None,
        }
    }

    fn made(tree: &Sample, config: &GuestTree<'_>) -> DeviceTree {
        let blob = guest_tree(&tree.blob(), config).expect("a tree for the guest");
        DeviceTree::from_fdt(&blob::open(&blob).expect("a tree that opens"))
    }

    fn value<'a>(tree: &'a DeviceTree, path: &str, name: &str) -> Option<&'a [u8]> {
        tree.find_node(path)?
            .properties()
            .find(|p| p.name() == name)?
            .value_as()
            .ok()
    }

    #[test]
    fn trims_memory() {
        let start = 0x4000_0000;
        let cases = [
            (top(), wide(&[start, 0x3fe0_0000]), "at the end"),
            (
                region(start, MIB),
                wide(&[0x4010_0000, 0x3ff0_0000]),
                "at the start",
            ),
            (
                region(0x5000_0000, MIB),
                wide(&[start, 0x1000_0000, 0x5010_0000, 0x2ff0_0000]),
                "in the middle",
            ),
            (
                region(0x8000_0000, MIB),
                wide(&[start, 0x4000_0000]),
                "outside",
            ),
        ];
        for (monitor, expected, place) in cases {
            let tree = made(&Sample::virt(), &config(monitor));
            assert_eq!(value(&tree, MEMORY, "reg"), Some(&expected[..]), "{place}");
        }
        let all = made(&Sample::virt(), &config(region(start, 0x4000_0000)));
        assert!(
            all.find_node(MEMORY).is_none(),
            "a node of which nothing is left"
        );
    }

    #[test]
    fn trims_the_right_bank_of_one_cell() {
        let mut tree = Sample::virt();
        tree.set("/", "#address-cells", 1u32)
            .set("/", "#size-cells", 1u32);
        tree.set(
            MEMORY,
            "reg",
            cells(&[0x6000_0000, 0x2000_0000, 0x4000_0000, 0x1000_0000]),
        );
        tree.set(
            MEMORY,
            "linux,usable-memory",
            cells(&[0x7000_0000, 0x1000_0000]),
        );
        let tree = made(&tree, &config(top()));
        let expected = cells(&[0x6000_0000, 0x1fe0_0000, 0x4000_0000, 0x1000_0000]);
        assert_eq!(
            value(&tree, MEMORY, "reg"),
            Some(&expected[..]),
            "the order stays"
        );
        let expected = cells(&[0x7000_0000, 0x0fe0_0000]);
        assert_eq!(
            value(&tree, MEMORY, "linux,usable-memory"),
            Some(&expected[..])
        );
        let expected = cells(&[0x7fe0_0000, 0x20_0000]);
        assert_eq!(
            value(&tree, "/reserved-memory/baton@7fe00000", "reg"),
            Some(&expected[..])
        );
    }

    #[test]
    fn reserves_the_monitor() {
        let tree = made(&Sample::virt(), &config(top()));
        let node = "/reserved-memory/baton@7fe00000";
        assert_eq!(
            value(&tree, node, "reg"),
            Some(&wide(&[0x7fe0_0000, 2 * MIB])[..])
        );
        assert_eq!(value(&tree, node, "no-map"), Some(&[][..]));
        for (name, expected) in [
            ("#address-cells", cells(&[2])),
            ("#size-cells", cells(&[2])),
            ("ranges", Vec::new()),
        ] {
            assert_eq!(
                value(&tree, "/reserved-memory", name),
                Some(&expected[..]),
                "{name}"
            );
        }
    }

    #[test]
    fn reserves_beside_others() {
        let mut tree = Sample::virt();
        tree.set("/reserved-memory", "#address-cells", 1u32).set(
            "/reserved-memory",
            "#size-cells",
            1u32,
        );
        tree.set(
            "/reserved-memory/fw@50000000",
            "reg",
            cells(&[0x5000_0000, 0x1000]),
        );
        let made = made(&tree, &config(top()));
        assert!(
            made.find_node("/reserved-memory/fw@50000000").is_some(),
            "the other one is gone"
        );
        let reg = value(&made, "/reserved-memory/baton@7fe00000", "reg");
        assert_eq!(
            reg,
            Some(&cells(&[0x7fe0_0000, 0x20_0000])[..]),
            "in the cells that are there"
        );
        let high = region(1 << 32, MIB);
        let node = "/reserved-memory/baton@100000000".into();
        let seen = guest_tree(&tree.blob(), &config(high));
        assert_eq!(seen, Err(TreeError::Wide { node, region: high }));
    }

    #[test]
    fn chooses_for_the_guest() {
        let mut tree = Sample::virt();
        let kept = [
            "linux,kho-fdt",
            "linux,kho-scratch",
            "linux,usable-memory-range",
            "linux,elfcorehdr",
            "kaslr-seed",
            "rng-seed",
            "stdout-path",
        ];
        for name in kept {
            tree.set("/chosen", name, name);
        }
        tree.set("/chosen", "linux,initrd-start", 1u32)
            .set("/chosen", "linux,initrd-end", 2u32);
        tree.set("/chosen/framebuffer@1", "compatible", "simple-framebuffer");
        let ramdisk = region(0x4a00_0000, 0x1234);
        let full = GuestTree {
            ramdisk: Some(ramdisk),
            ..config(top())
        };
        let made1 = made(&tree, &full);
        assert_eq!(value(&made1, "/chosen", "bootargs"), Some(&b"quiet\0"[..]));
        let (start, end) = (wide(&[ramdisk.start()]), wide(&[ramdisk.end()]));
        assert_eq!(
            value(&made1, "/chosen", "linux,initrd-start"),
            Some(&start[..])
        );
        assert_eq!(value(&made1, "/chosen", "linux,initrd-end"), Some(&end[..]));
        for name in kept {
            let expected: Vec<u8> = name.bytes().chain([0]).collect();
            assert_eq!(
                value(&made1, "/chosen", name),
                Some(&expected[..]),
                "{name}"
            );
        }
        let children: Vec<&str> = made1
            .find_node("/chosen")
            .expect("/chosen")
            .children()
            .map(|c| c.name())
            .collect();
        assert_eq!(children, ["framebuffer@1"], "the modules go, others stay");

        let bare = GuestTree {
            bootargs: None,
            ..config(top())
        };
        let made2 = made(&tree, &bare);
        for name in ["bootargs", "linux,initrd-start", "linux,initrd-end"] {
            assert_eq!(value(&made2, "/chosen", name), None, "{name}");
        }
        tree.remove("/chosen");
        let bootargs = made(&tree, &full);
        assert_eq!(
            value(&bootargs, "/chosen", "bootargs"),
            Some(&b"quiet\0"[..]),
            "made anew"
        );
    }

    #[test]
    fn keeps_the_rest() {
        let mut tree = Sample::virt();
        tree.0.memory_reservations = alloc::vec![MemoryReservation::new(0x4800_0000, 0x1000)];
        let mut blob = tree.blob();
        blob[BOOT_CPUID_OFFSET..BOOT_CPUID_OFFSET + 4].copy_from_slice(&[0, 0, 1, 2]);
        let made = guest_tree(&blob, &config(top())).expect("a tree for the guest");
        let fdt = blob::open(&made).expect("a tree that opens");
        assert_eq!(fdt.boot_cpuid_phys(), 0x102);
        let reserved: Vec<_> = fdt.memory_reservations().collect();
        assert_eq!(reserved, tree.0.memory_reservations);
        let after = DeviceTree::from_fdt(&fdt);
        for path in ["/psci", "/cpus", "/intc@8000000", "/pl011@9000000"] {
            assert_eq!(after.find_node(path), tree.0.find_node(path), "{path}");
        }
        assert_eq!(
            Board::read(&made),
            Err(BoardError::NoKernel),
            "a guest is no board"
        );
    }

    #[test]
    fn refuses_what_cannot_be_written() {
        let mut tree = Sample::virt();
        let nul = GuestTree {
            bootargs: Some("a\0b"),
            ..config(top())
        };
        assert_eq!(guest_tree(&tree.blob(), &nul), Err(TreeError::Bootargs(1)));
        let short = guest_tree(&[], &config(top()));
        assert_eq!(short, Err(TreeError::Blob(BlobError::Short(0))));
        let cells_error = |address_cells| TreeError::Cells {
            node: MEMORY.into(),
            property: "reg",
            address_cells,
            size_cells: 2,
        };
        tree.set(MEMORY, "reg", wide(&[0x4000_0000]));
        assert_eq!(
            guest_tree(&tree.blob(), &config(top())),
            Err(cells_error(2)),
            "half a bank"
        );
        tree.set("/", "#address-cells", 3u32)
            .set(MEMORY, "reg", Vec::new());
        assert_eq!(
            guest_tree(&tree.blob(), &config(top())),
            Err(cells_error(3)),
            "96 bits"
        );
    }

    #[test]
    fn judges_what_keeps_out() {
        let board = Sample::virt();
        let monitor = region(0x7000_0000, 2 * MIB);
        let keeps = |tree: &Sample| keeps_out(&tree.blob(), &monitor);
        assert_eq!(keeps(&board), Ok(false), "the board's own tree");
        let ours = guest_tree(&board.blob(), &config(monitor)).expect("a tree for the guest");
        assert_eq!(keeps_out(&ours, &monitor), Ok(true), "the tree made here");

        let mut tree = board.clone();
        let node = "/reserved-memory/baton@70000000";
        tree.set("/reserved-memory", "#address-cells", 2u32).set(
            "/reserved-memory",
            "#size-cells",
            2u32,
        );
        tree.set(node, "reg", wide(&[0x7000_0000, 2 * MIB]));
        assert_eq!(keeps(&tree), Ok(false), "reserved, yet mapped");
        tree.set(node, "no-map", Vec::new());
        assert_eq!(keeps(&tree), Ok(true), "in memory, yet not mapped");
        tree.set(node, "status", "disabled");
        assert_eq!(keeps(&tree), Ok(false), "not available");
        tree.unset(node, "status")
            .set(node, "reg", wide(&[0x7000_0000, MIB]));
        assert_eq!(keeps(&tree), Ok(false), "half of it");
        tree.set(
            "/reserved-memory/other",
            "reg",
            wide(&[0x700f_0000, 2 * MIB, 1, 1]),
        );
        tree.set("/reserved-memory/other", "no-map", Vec::new());
        assert_eq!(keeps(&tree), Ok(true), "by two together");
        tree.remove("/reserved-memory")
            .set(MEMORY, "reg", wide(&[0x4000_0000, 0x3000_0000]));
        assert_eq!(keeps(&tree), Ok(true), "memory ends below");
        tree.set(MEMORY, "linux,usable-memory", wide(&[0x7000_0000, 1]));
        assert_eq!(keeps(&tree), Ok(false), "usable by another property");
        assert_eq!(
            keeps_out(&[0; 40], &monitor),
            Err(TreeError::Blob(BlobError::Magic(0)))
        );
    }
}
