// SPDX-License-Identifier: Apache-2.0
//! What a loader hands over to tell of the machine, and the console that it names.

use super::early_map;
use super::image;
use super::loader_tree::{start_console, tree, virtual_console};
use super::stop::stop;
use crate::memory::stage1::MemoryKind;
use alloc::boxed::Box;
use baton_core::acpi::Physical;
use baton_core::description::Description;
use baton_core::devicetree::blob;
use baton_core::memory::layout::PAGE;
use baton_core::memory::region::{Region, RegionSet};
use core::cell::RefCell;
use core::slice;

/// Physical memory, by the early map: a page is added when it is asked for.
struct Memory {
    mapped: RefCell<RegionSet>,
}

impl Physical for Memory {
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
        let wanted = Region::new(address, length as u64).ok()?;
        // The early map ends at 48 bits, and Rust has no references to address 0.
        if address == 0 || wanted.end() >> 48 != 0 {
            return None;
        }
        let mut mapped = self.mapped.borrow_mut();
        let mut missing: RegionSet = wanted.align_outward(PAGE).into_iter().collect();
        missing.remove_all(&mapped);
        for region in missing.iter() {
            if !early_map::has_room(region) {
                return None;
            }
            // SAFETY: This is the boot CPU on the early map, which does not have the region yet.
            unsafe { early_map::add(region, MemoryKind::Data) };
            mapped.insert(*region);
        }
        // SAFETY: It is mapped, and nobody writes it before the guest runs.
        Some(unsafe { slice::from_raw_parts(address as *const u8, length) })
    }
}

/// Looks at the device tree at physical address `fdt`, and all that it leads to, and starts the
/// console. Stops if it describes no machine.
pub fn read(fdt: u64) -> Description<'static> {
    let tree = tree(fdt);
    // What is in the map from the beginning.
    let given = Region::new(fdt & !7, blob::MAX_SIZE);
    let mapped = [Ok(image::region()), given].into_iter().flatten();
    let mapped = mapped.filter_map(|region| region.align_outward(PAGE));
    let memory = Memory {
        mapped: RefCell::new(mapped.collect()),
    };
    // It is read as long as the early map is in use.
    let description =
        Description::open(tree, Box::leak(Box::new(memory))).unwrap_or_else(|error| {
            // The board cannot be started, and says so where virtual machines have their console.
            start_console(&virtual_console());
            stop(format_args!("{error}"))
        });
    if let Some(console) = description.console() {
        start_console(&console);
    }
    description
}
