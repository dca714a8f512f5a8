// SPDX-License-Identifier: Apache-2.0
//! Where a loader put the image is the guest's memory: the image moves to the end of RAM.

use super::layout::{ALIGN, Layout};
use super::stop::stop;
use super::{description, early_map, first_guest, image};
use crate::arch::cache;
use crate::console;
use crate::memory::heap::HEAP;
use crate::memory::stage1::MemoryKind;
use baton_core::devicetree::board::MemoryMap;
use baton_core::devicetree::modules::Modules;
use baton_core::memory::addresses::{Beyond, GIB};
use baton_core::memory::region::{Region, RegionSet};
use baton_core::smp::barrier::MAX_CPUS;
use baton_sysreg::read_sysreg;
use core::slice;
use log::LevelFilter;

unsafe extern "C" {
    fn leave_for_copy(fdt: u64, old: u64, size: u64, target: u64, started: u64) -> !;
}

/// Chooses a place, copies the image there, and starts it again. `started` is when a loader entered
/// it, in ticks of CNTPCT_EL0.
#[unsafe(no_mangle)]
extern "C" fn boot_move(fdt: u64, started: u64) -> ! {
    HEAP.init_early();
    console::start(LevelFilter::Info);
    let description = description::read(fdt);
    let board = description
        .board(image::appended(image::region().start()))
        .unwrap_or_else(|error| stop(format_args!("{error}")));
    let (map, cpus) = (&board.map, board.hardware.cpus.len());
    if cpus > MAX_CPUS {
        stop(format_args!(
            "{cpus} CPUs in the machine's description: {MAX_CPUS} are served at most"
        ));
    }
    // SAFETY: It is an ID register.
    let mmfr0 = unsafe { read_sysreg!(ID_AA64MMFR0_EL1) };
    Beyond::check(mmfr0, &map.memory).unwrap_or_else(|error| stop(format_args!("{error}")));
    let tree = Region::new(fdt, description.tree().len() as u64).ok();
    check_modules(&map.modules, tree);
    let size = Layout::size(cpus as u64, description.size(), 0);
    let target = place(map, size, tree).unwrap_or_else(|| {
        stop(format_args!(
            "no {} KiB of free memory for the monitor",
            size >> 10
        ))
    });
    let loaded = image::loaded();
    // SAFETY: The target is free RAM that is not mapped yet: it overlaps neither image nor tree.
    unsafe {
        early_map::add(&target, MemoryKind::Data);
        let source = slice::from_raw_parts(loaded.start() as *const u8, loaded.size() as usize);
        (target.start() as *mut u8).copy_from(source.as_ptr(), source.len());
    }
    // The copy starts with its caches off.
    let image = image::region();
    cache::clean_to_poc(target.start() as usize, image.size() as usize);
    // SAFETY: The copy is whole, and nothing of this one is used again but by the copy.
    unsafe { leave_for_copy(fdt, image.start(), image.size(), target.start(), started) }
}

/// Stops if a module lies where something else was loaded too: one of the two is not what it was.
fn check_modules(modules: &Modules, tree: Option<Region>) {
    let modules = [
        ("kernel", Some(modules.kernel)),
        ("ramdisk", modules.ramdisk),
    ];
    let others = [("monitor", Some(image::region())), ("device tree", tree)];
    for (what, module) in modules {
        for (other, place) in others {
            if let (Some(module), Some(place)) = (module, place)
                && module.overlaps(&place)
            {
                stop(format_args!(
                    "{what} at {module} and {other} at {place} overlap"
                ));
            }
        }
    }
}

/// The highest place of `size` bytes for the monitor that is nobody's.
fn place(map: &MemoryMap, size: u64, tree: Option<Region>) -> Option<Region> {
    let mut free: RegionSet = map.memory.iter().copied().collect();
    free.remove_all(&map.reserved);
    let taken = [
        Some(image::region()),
        tree,
        first_guest::kernel_footprint(map),
        map.modules.ramdisk,
    ];
    for region in taken.into_iter().flatten() {
        // The early map tells memory apart by pages: what shares a page with these is not free.
        free.remove(&region.align_outward(ALIGN).unwrap_or(region));
    }
    // It then splits one block of stage 2, and no two.
    free.highest_fit_within(size, ALIGN, GIB)
}
