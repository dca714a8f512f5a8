// SPDX-License-Identifier: Apache-2.0
//! Makes the device tree of the guest.

use super::blob::{self, BlobError, header};
use super::cpus::{self, Cpu};
use super::external_debug;
use super::modules::is_module;
use super::node::{big_endian, number};
use super::survey::MEMORY_PROPERTIES;
use super::uefi;
use crate::memory::region::Region;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use arm_psci::FunctionId;
use baton_abi::log;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::standard::{AddressSpaceProperties, NodeStandard};
use dtoolkit::{Node, Property};
use thiserror::Error;

/// What the guest's tree has that the board's does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestTree<'a> {
    /// The monitor's own memory, which the guest must not use.
    pub monitor: Region,
    /// The part of it with the log, which the guest may read.
    pub log: Region,
    /// Memory of LPI tables that stay in use from one kernel to the next: the guest's, but
    /// reserved.
    pub lpi_tables: Option<Region>,
    /// The guest's command line, if it has one.
    pub bootargs: Option<&'a str>,
    /// Where the guest's initial ramdisk lies, if it has one.
    pub ramdisk: Option<Region>,
    /// The CPUs that the guest is offered, all by PSCI. It is told to leave the others alone.
    pub cpus: &'a [Cpu],
    /// The board has no PSCI, and the guest is told of the monitor's.
    pub own_psci: bool,
    /// Where the guest finds UEFI's memory map, if it is handed one: that reserves the monitor's memory
    /// and the tables' as well.
    pub uefi_map: Option<Region>,
    /// The property `report` of the node `baton`, with the size that the report of a takeover will need.
    pub report: &'a [u8],
    /// The property `times`, the same.
    pub times: &'a [u8],
}

/// Why a tree for the guest cannot be made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TreeError {
    /// The structure of the tree is broken.
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
    /// An address or a size needs two cells, and has one.
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
/// ramdisk in place of the modules. CPUs come by PSCI alone, or not at all, and their debug registers in
/// memory are disabled. `/baton` has room for the report of a takeover, and a node of its own says where
/// the log is.
///
/// With UEFI's memory map, a tree that has nothing but `/chosen` stays so: Linux takes the machine from
/// ACPI only then. The report is in `/chosen/baton` there, which also says where the log is.
///
/// All else stays: in `/chosen` the seeds, `stdout-path` and `linux,kho-*`, and the memory
/// reservations.
///
/// # Errors
///
/// Returns [`TreeError`], with the node that cannot be used or changed.
pub fn guest_tree(fdt: &[u8], config: &GuestTree<'_>) -> Result<Vec<u8>, TreeError> {
    if let Some(nul) = config.bootargs.and_then(|line| line.find('\0')) {
        return Err(TreeError::Bootargs(nul));
    }
    let fdt = blob::open(fdt)?;
    let mut tree = DeviceTree::from_fdt(&fdt);
    let cells = tree.root.address_space();
    choose(node_mut(&mut tree.root, "chosen"), config)?;
    let is_stub = config.uefi_map.is_some() && uefi::is_stub(&fdt);
    let reported = if is_stub {
        node_mut(&mut tree.root, "chosen")
    } else {
        describe(&mut tree.root, cells, config)?;
        if external_debug::may_have_any(fdt) {
            external_debug::disable(&mut tree.root);
        }
        &mut tree.root
    };
    let baton = node_mut(reported, "baton");
    if is_stub {
        let [start, size] = [config.log.start(), config.log.size()].map(u64::to_be_bytes);
        set(baton, log::PROPERTY, [start, size].concat());
    }
    set(baton, "times", config.times.to_vec());
    set(baton, "report", config.report.to_vec());

    let mut bytes = tree.to_dtb();
    // dtoolkit's model does not keep the boot CPU of the header.
    let boot_cpu = fdt.boot_cpuid_phys().to_be_bytes();
    if let Some(field) =
        bytes.get_mut(header::BOOT_CPUID_PHYS..header::BOOT_CPUID_PHYS + boot_cpu.len())
    {
        field.copy_from_slice(&boot_cpu);
    }
    Ok(bytes)
}

/// Tells in the description of the machine what there is of the monitor.
fn describe(
    root: &mut DeviceTreeNode,
    cells: AddressSpaceProperties,
    config: &GuestTree<'_>,
) -> Result<(), TreeError> {
    trim_memory(root, cells, &config.monitor)?;
    reserve(root, cells, "baton", &config.monitor, true)?;
    show_log(root, cells, &config.log)?;
    if let Some(tables) = &config.lpi_tables {
        reserve(root, cells, "lpi-tables", tables, false)?;
    }
    if config.own_psci {
        offer_psci(root);
    }
    offer_cpus(root, config.cpus);
    Ok(())
}

/// Takes the monitor's memory out of all memory nodes.
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
    what: &str,
    region: &Region,
    no_map: bool,
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
    let name = format!("{what}@{:x}", region.start());
    let reg = encode(
        &format!("/reserved-memory/{name}"),
        &[*region],
        parent.address_space(),
    )?;
    let mut node = DeviceTreeNode::new_unchecked(name);
    set(&mut node, "reg", reg);
    if no_map {
        set(&mut node, "no-map", Vec::new());
    }
    parent.add_child(node);
    Ok(())
}

/// Adds a node for the log, as memory that Linux shows as a file (sram.yaml of Linux, `export`).
fn show_log(
    root: &mut DeviceTreeNode,
    cells: AddressSpaceProperties,
    region: &Region,
) -> Result<(), TreeError> {
    let name = format!("{}@{:x}", log::NODE, region.start());
    let reg = encode(&format!("/{name}"), &[*region], cells)?;
    let mut all = DeviceTreeNode::new_unchecked(format!("log@{:x}", region.start()));
    set(&mut all, "reg", reg.clone());
    set(&mut all, "export", Vec::new());
    let mut node = DeviceTreeNode::new_unchecked(name);
    for (name, value) in [
        ("compatible", log::COMPATIBLE.as_bytes().to_vec()),
        ("reg", reg),
        ("#address-cells", cells.address_cells.to_be_bytes().to_vec()),
        ("#size-cells", cells.size_cells.to_be_bytes().to_vec()),
        // The addresses of what is in it are those of the root.
        ("ranges", Vec::new()),
    ] {
        set(&mut node, name, value);
    }
    node.add_child(all);
    root.add_child(node);
    Ok(())
}

/// Offers the monitor's PSCI. It is PSCI 0.1, which has no SYSTEM_RESET and no SYSTEM_OFF: the
/// guest's own drivers do that on such a board.
fn offer_psci(root: &mut DeviceTreeNode) {
    let psci = node_mut(root, "psci");
    set(psci, "compatible", b"arm,psci\0".to_vec());
    set(psci, "method", b"hvc\0".to_vec());
    for (name, id) in [
        ("cpu_on", FunctionId::CpuOn64),
        ("cpu_off", FunctionId::CpuOff),
    ] {
        set(psci, name, u32::from(id).to_be_bytes().to_vec());
    }
}

/// Has the guest start the CPUs of `offered` by PSCI, which the monitor answers, and no other one:
/// what would lead around the monitor goes, for kernels that do not know the status "fail" of a CPU
/// too (Linux before 5.17).
fn offer_cpus(root: &mut DeviceTreeNode, offered: &[Cpu]) {
    let cpus = node_mut(root, "cpus").children_mut();
    for node in cpus.filter(|node| is_cpu(node)) {
        let reg = node.property("reg");
        let mpidr = reg.and_then(|reg| big_endian(reg.value()));
        let is_offered = !is_string(node, "status", cpus::is_failure)
            && offered.iter().any(|cpu| Some(cpu.mpidr) == mpidr);
        if is_offered && is_string(node, "enable-method", |method| method == "psci") {
            continue;
        }
        node.remove_property("cpu-release-addr");
        // Firmware's, of which a CPU that does not come by its PSCI knows nothing.
        node.remove_property("cpu-idle-states");
        if is_offered {
            set(node, "enable-method", b"psci\0".to_vec());
        } else {
            node.remove_property("enable-method");
            set(node, "status", b"fail\0".to_vec());
        }
    }
}

/// Returns whether a child of `/cpus` is a CPU.
fn is_cpu(node: &DeviceTreeNode) -> bool {
    node.name_without_address() == "cpu" || is_string(node, "device_type", |kind| kind == "cpu")
}

/// Returns whether `test` holds for the first string of a property.
fn is_string(node: &DeviceTreeNode, name: &str, test: impl FnOnce(&str) -> bool) -> bool {
    let Some(property) = node.property(name) else {
        return false;
    };
    let first = property.value().split(|byte| *byte == 0).next();
    first
        .and_then(|bytes| core::str::from_utf8(bytes).ok())
        .is_some_and(test)
}

/// Puts the guest's command line and ramdisk into `/chosen`, in place of the modules.
fn choose(chosen: &mut DeviceTreeNode, config: &GuestTree<'_>) -> Result<(), TreeError> {
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
    if let Some(map) = config.uefi_map {
        let size = u32::try_from(map.size()).map_err(|_| TreeError::Wide {
            node: "/chosen".to_string(),
            region: map,
        })?;
        set(chosen, uefi::MAP_START, map.start().to_be_bytes().to_vec());
        set(chosen, uefi::MAP_SIZE, size.to_be_bytes().to_vec());
    }
    Ok(())
}

/// Returns whether a child of the root is a memory node.
fn is_memory<N: Node>(node: &N) -> bool {
    node.property("device_type")
        .is_some_and(|kind| kind.value() == b"memory\0")
}

/// Returns the child of that name, whatever its unit address; makes one if there is none.
fn node_mut<'a>(root: &'a mut DeviceTreeNode, name: &str) -> &'a mut DeviceTreeNode {
    let full = root
        .child(name)
        .map_or(name.to_string(), |node| node.name().to_string());
    root.add_child_mut(DeviceTreeNode::new_unchecked(full))
}

/// Sets a property, which is added if it is not there.
fn set(node: &mut DeviceTreeNode, name: &str, value: Vec<u8>) {
    match node.property_mut(name) {
        Some(property) => property.set_value(value.as_slice()),
        None => node.add_property(DeviceTreeProperty::new_unchecked(name, value.as_slice())),
    }
}

/// Returns the regions that `property` lists, for a tree that is changed.
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

/// Returns the value of a property that lists `regions`.
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
mod tests;
