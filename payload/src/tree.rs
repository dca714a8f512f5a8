// SPDX-License-Identifier: Apache-2.0
//! What the device tree says of the machine.

use crate::call::Conduit;
use crate::cpu::AFFINITY_MASK;
use crate::list::List;
use crate::machine::{Gic, Machine, Range, Reserved, keep};
use crate::outcome::{Failure, Outcome, ensure};
use crate::pci::Pci;
use baton_abi::log::NODE;
use core::fmt::Display;
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};

/// The first word of a device tree, as a little-endian CPU reads it.
const FDT_MAGIC: u32 = 0xd00d_feed_u32.swap_bytes();
/// Where QEMU's `virt` board puts its device tree: in front of RAM, or where `-kernel` would.
///
/// A convenience for a probe that was loaded by QEMU's plain `loader` device, which passes no x0.
const BARE_RUN_PLACES: [u64; 2] = [0x4000_0000, 0x4800_0000];

/// What a GICv2 is called.
const GICV2: [&str; 2] = ["arm,cortex-a15-gic", "arm,gic-400"];

/// Finds the device tree at the address in x0, or where QEMU puts it if x0 is 0.
pub fn find(x0: u64) -> Option<Fdt<'static>> {
    let candidates = if x0 == 0 {
        BARE_RUN_PLACES.as_slice()
    } else {
        &[x0]
    };
    candidates.iter().find_map(|&address| {
        let pointer = address as *const u32;
        // SAFETY: the caller of the image gives a device tree in RAM, and RAM is mapped; the places
        // of a bare run are RAM of the only board that they are meant for.
        if unsafe { pointer.read_volatile() } != FDT_MAGIC {
            return None;
        }
        // SAFETY: it begins like a device tree, nobody writes it while this generation runs.
        unsafe { Fdt::from_raw(pointer.cast()) }.ok()
    })
}

/// Physical address of the console: the PL011 that `stdout-path` names, else the first there is.
pub fn console(fdt: Fdt<'static>) -> Option<u64> {
    let named = fdt.chosen().and_then(|chosen| {
        let property = (*chosen).property("stdout-path")?;
        let text: &'static str = property.value_as().ok()?;
        let path = text.split(':').next()?;
        if path.starts_with('/') {
            return fdt.find_node(path);
        }
        let alias: &'static str = fdt.find_node("/aliases")?.property(path)?.value_as().ok()?;
        fdt.find_node(alias)
    });
    let node = named.or_else(|| fdt.root().children().find(|n| n.is_compatible("arm,pl011")))?;
    if !node.is_compatible("arm,pl011") {
        return None;
    }
    regions(node).next().map(|(base, _)| base)
}

/// Where the value of a property of `/chosen` lies in a tree, in bytes from its beginning.
pub fn value_in_chosen(fdt: Fdt<'static>, name: &str) -> Option<usize> {
    let property = (*fdt.chosen()?).property(name)?;
    let value = property.value().as_ptr() as usize;
    value.checked_sub(fdt.data().as_ptr() as usize)
}

fn regions(node: FdtNode<'static>) -> impl Iterator<Item = Range> {
    let regions = node.reg().ok().flatten();
    regions
        .into_iter()
        .flatten()
        .filter_map(|r| Some((r.address().ok()?, r.size().ok()?)))
}

/// The window of memory of 32 bits of a host bridge (PCI Bus Binding to IEEE 1275, 2.2.1.1), if it has the CPU's
/// addresses.
fn window(node: FdtNode<'static>) -> Option<Range> {
    const KIND: u32 = 3 << 24;
    const MEMORY_32: u32 = 2 << 24;
    let property = node.property("ranges")?;
    let (words, _) = property.value().as_chunks::<4>();
    let words = words.chunks_exact(7).map(|range| {
        let word = |n: usize| range.get(n).map_or(0, |word| u32::from_be_bytes(*word));
        let wide = |n| u64::from(word(n)) << 32 | u64::from(word(n + 1));
        (word(0), wide(1), wide(3), wide(5))
    });
    let mut memory = words.filter(|(kind, bus, cpu, _)| kind & KIND == MEMORY_32 && bus == cpu);
    memory.next().map(|(_, _, cpu, size)| (cpu, size))
}

/// Whether a CPU's `status` says that it does not work. One that is `"disabled"` waits to be started.
fn has_failed(cpu: &FdtNode<'static>) -> bool {
    let status = cpu.property("status");
    let status: Option<&str> = status.and_then(|status| status.value_as().ok());
    status.is_some_and(|status| status.starts_with("fail"))
}

fn missing(what: impl Display) -> Failure {
    Failure::new(format_args!(
        "expected {what} in the device tree, seen none"
    ))
}

/// The command line; empty if there is none.
pub fn bootargs(fdt: Fdt<'static>) -> &'static str {
    let bootargs = fdt
        .chosen()
        .and_then(|chosen| (*chosen).property("bootargs"));
    // kexec-tools ends it by two NULs.
    bootargs
        .and_then(|p| p.value_as().ok())
        .unwrap_or("")
        .trim_end_matches('\0')
}

/// Reads the device tree.
pub fn read(fdt: Fdt<'static>) -> Outcome<Machine> {
    let root = fdt.root();
    let mut cpus = List::new();
    for cpu in fdt
        .find_node("/cpus")
        .ok_or_else(|| missing("/cpus"))?
        .children()
    {
        if cpu.name_without_address() != "cpu" || has_failed(&cpu) {
            continue;
        }
        // `#size-cells` of `/cpus` is 0: the address is all there is.
        let ids = cpu.reg().ok().flatten().into_iter().flatten();
        for id in ids.filter_map(|reg| reg.address::<u64>().ok()) {
            keep(&mut cpus, id & AFFINITY_MASK, "CPUs")?;
        }
    }
    ensure!(
        !cpus.is_empty(),
        "expected CPUs in the device tree, seen none"
    );

    let mut ram = List::new();
    for node in root
        .children()
        .filter(|n| n.name_without_address() == "memory")
    {
        for range in regions(node).filter(|range| range.1 != 0) {
            keep(&mut ram, range, "regions of RAM")?;
        }
    }
    ensure!(
        !ram.is_empty(),
        "expected RAM in the device tree, seen none"
    );

    let mut reserved = List::new();
    for node in fdt
        .find_node("/reserved-memory")
        .iter()
        .flat_map(|node| node.children())
    {
        let no_map = node.property("no-map").is_some();
        for range in regions(node) {
            keep(
                &mut reserved,
                Reserved { range, no_map },
                "reserved regions",
            )?;
        }
    }

    let is_log = |node: &FdtNode| node.name_without_address() == NODE;
    let log = root
        .children()
        .find(is_log)
        .and_then(|node| regions(node).next());

    let method = fdt
        .find_node("/psci")
        .and_then(|node| node.property("method"));
    let method: &'static str = method
        .and_then(|m| m.value_as().ok())
        .ok_or_else(|| missing("method of /psci"))?;
    let psci = match method {
        "smc" => Conduit::Smc,
        "hvc" => Conduit::Hvc,
        other => {
            return Err(Failure::new(format_args!(
                "expected method smc or hvc, seen {other}"
            )));
        }
    };

    let mut gic = None;
    if let Some(node) = root.children().find(|n| n.is_compatible("arm,gic-v3")) {
        let count = node.property("#redistributor-regions");
        let count: u32 = count.and_then(|p| p.value_as().ok()).unwrap_or(1);
        let mut regions = regions(node);
        let (distributor, _) = regions.next().ok_or_else(|| missing("reg of the GIC"))?;
        let mut redistributors = List::new();
        for region in regions.take(count as usize) {
            keep(&mut redistributors, region, "redistributor regions")?;
        }
        let its = node.children().find(|n| n.is_compatible("arm,gic-v3-its"));
        gic = Some(Gic {
            distributor,
            cpu_interface: None,
            redistributors,
            its: its
                .and_then(|its| crate::tree::regions(its).next())
                .map(|(base, _)| base),
        });
    }

    let is_ecam = |n: &FdtNode| n.is_compatible("pci-host-ecam-generic");
    let bridge = root.children().find(is_ecam);
    let pci = bridge.and_then(|node| {
        let (ecam, _) = regions(node).next()?;
        Some(Pci {
            ecam,
            window: window(node)?,
        })
    });

    let smmu = root.children().find(|n| n.is_compatible("arm,smmu-v3"));
    let smmu = smmu.and_then(|node| regions(node).next());

    let is_v2 = |n: &FdtNode| GICV2.iter().any(|name| n.is_compatible(name));
    if let Some(node) = root.children().find(is_v2) {
        let mut regions = regions(node).map(|(base, _)| base);
        gic = Some(Gic {
            distributor: regions.next().ok_or_else(|| missing("reg of the GIC"))?,
            cpu_interface: regions.next(),
            redistributors: List::new(),
            its: None,
        });
    }

    Ok(Machine {
        fdt: fdt.data(),
        cpus,
        ram,
        reserved,
        log,
        uart: console(fdt).ok_or_else(|| missing("a PL011"))?,
        psci,
        gic,
        pci,
        smmu: smmu.map(|(base, _)| base),
        bootargs: bootargs(fdt),
    })
}
