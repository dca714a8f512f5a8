// SPDX-License-Identifier: Apache-2.0
//! The map that the monitor runs on.

use super::layout::Layout;
use super::{image, spin_table};
use crate::memory::guest_ram::ZERO_ALIAS;
use crate::memory::stage1::{self, MemoryKind, MmuConfig, VaSize};
use aarch64_paging::descriptor::El23Attributes;
use aarch64_paging::idmap::IdTranslation;
use aarch64_paging::paging::El2;
use aarch64_paging::{MapError, Mapping};
use alloc::vec::Vec;
use baton_core::devicetree::gic::Gic as GicNode;
use baton_core::hardware::{Dma, Hardware};
use baton_core::memory::layout::{GUARD, STACK};
use baton_core::memory::region::{Region, RegionSet};
use core::{mem, slice};

/// Maps all that the monitor reaches for, with its RAM in `banks` and what the loader left to be read
/// at `given`, for ever; of registers by which DMA is stopped, those of `dma`. `pa_range` is what each CPU has of physical addresses.
///
/// # Errors
///
/// [`MapError`] if something lies beyond what this CPU can address.
pub fn map(
    hardware: &Hardware,
    dma: &Dma,
    layout: &Layout,
    banks: &RegionSet,
    given: Option<Region>,
    pa_range: u64,
) -> Result<MmuConfig, MapError> {
    let devices: Vec<Region> = devices(hardware).chain(dma.registers()).collect();
    let given = given.filter(|given| !banks.contains(given.start(), given.size()));
    let low = banks.iter().find(|bank| bank.start() == 0);
    let alias = low.and_then(|bank| Region::new(ZERO_ALIAS, bank.size()).ok());
    let all = banks
        .iter()
        .chain(&devices)
        .chain(&given)
        .chain(&alias)
        .chain([&layout.whole]);
    let va_size = VaSize::of(all);
    let tables = IdTranslation::<El23Attributes>::new();
    let mut map = Mapping::new(tables, va_size.root_level(), El2);
    if let Some(low) = low {
        stage1::map_at(&mut map, low, MemoryKind::Data, ZERO_ALIAS)?;
    }
    let mut add = |region: &Region, what| stage1::map(&mut map, region, what);
    if let Some(given) = given {
        add(&given, MemoryKind::Rodata)?;
    }
    for bank in banks.iter() {
        add(bank, MemoryKind::Data)?;
    }
    add(&image::text(), MemoryKind::Text)?;
    add(&image::rodata(), MemoryKind::Rodata)?;
    for part in image::data() {
        add(&part, MemoryKind::Data)?;
    }
    for index in 0..hardware.cpus.len() as u64 {
        let bottom = layout.stacks + index * (STACK + GUARD) + GUARD;
        if let Ok(stack) = Region::new(bottom, STACK) {
            add(&stack, MemoryKind::Data)?;
        }
    }
    add(&layout.heap, MemoryKind::Data)?;
    for (_, word) in spin_table::words(hardware) {
        if !banks.contains(word.start(), word.size()) {
            add(&word, MemoryKind::Data)?;
        }
    }
    for device in &devices {
        add(device, MemoryKind::Device)?;
    }
    let mmu = MmuConfig::new(map.root_address(), va_size, pa_range, true);
    // It is in use from here on, by every CPU.
    mem::forget(map);
    Ok(mmu)
}

/// The registers that the monitor reaches for.
fn devices(hardware: &Hardware) -> impl Iterator<Item = Region> {
    let (first, more): (_, &[Region]) = match &hardware.gic {
        GicNode::V3(gic) => (gic.distributor, &gic.redistributors),
        GicNode::V2(gic) => (gic.distributor, slice::from_ref(&gic.cpu_interface)),
        GicNode::Bcm2836(local) => (*local, &[]),
    };
    let its = match &hardware.gic {
        GicNode::V3(gic) => gic.its.as_slice(),
        _ => &[],
    };
    hardware
        .console
        .iter()
        .map(|console| console.registers)
        .chain([first])
        .chain(more.iter().chain(its).copied())
}
