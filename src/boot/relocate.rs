//! Where a loader put the image is the guest's memory: the image moves to the end of RAM.

use super::wrong_level::stop;
use super::{guest, image};
use crate::arch::cache;
use crate::console;
use crate::devicetree::blob;
use crate::devicetree::board::{self, MemoryMap};
use crate::devicetree::console::{Console, UartKind};
use crate::devicetree::cpus;
use crate::devicetree::modules::Modules;
use crate::memory::early;
use crate::memory::heap::HEAP;
use crate::memory::region::{Region, RegionSet};
use crate::memory::stage1::Use;
use crate::teardown::barrier::MAX_CPUS;
use core::slice;
use log::LevelFilter;

const PAGE: u64 = 4096;
/// The monitor's memory starts and ends on the largest blocks that Linux maps its memory with.
const ALIGN: u64 = 2 << 20;
/// Heap for what does not grow with the machine: the stage 1 and 2 tables, and trees on their way.
const HEAP_BASE: u64 = 1 << 20;
/// Heap for each CPU.
const HEAP_PER_CPU: u64 = 4 << 10;
/// A CPU's stack, and the page below it that is not mapped.
pub const STACK: u64 = 16 << 10;
/// The page below each stack.
pub const GUARD: u64 = PAGE;
/// Room for what the guest's tree says beyond the board's.
pub const TREE_GROWTH: u64 = 16 << 10;

unsafe extern "C" {
    fn leave_for_copy(fdt: u64, old: u64, size: u64, target: u64, started: u64) -> !;
}

/// The monitor's memory, from its start on: the image, the stacks, the heap.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// All of it.
    pub whole: Region,
    /// The stacks, each with its guard page below it, by CPU index.
    pub stacks: u64,
    /// The heap.
    pub heap: Region,
}

impl Layout {
    /// Returns the size in bytes that a machine with `cpus` CPUs and a tree of `tree` bytes needs.
    fn size(cpus: u64, tree: u64) -> u64 {
        let heap = HEAP_BASE + HEAP_PER_CPU * cpus + 2 * (tree + TREE_GROWTH);
        (image::region().size() + (STACK + GUARD) * cpus + heap).next_multiple_of(ALIGN)
    }

    /// Divides the memory that begins at the image, for a machine like that.
    pub fn here(cpus: u64, tree: u64) -> Self {
        let image = image::region();
        let size = Self::size(cpus, tree);
        let stacks = image.end().next_multiple_of(PAGE);
        let heap = stacks + (STACK + GUARD) * cpus;
        let end = image.start() + size;
        Self {
            whole: Region::new(image.start(), size).expect("it was placed in RAM"),
            stacks,
            heap: Region::from_bounds(heap, end).expect("size() has room for it"),
        }
    }
}

/// Chooses a place, copies the image there, and starts it again. `started` is when a loader entered
/// it, in ticks of CNTPCT_EL0.
#[unsafe(no_mangle)]
extern "C" fn boot_move(fdt: u64, started: u64) -> ! {
    HEAP.init_early();
    let tree = tree(fdt);
    let blob = blob::open(tree).unwrap_or_else(|error| {
        // The board cannot be started, and says so where virtual machines have their console.
        start_console(&virtual_console());
        stop(format_args!("{error}"))
    });
    if let Some(console) = board::console(blob) {
        start_console(&console);
    }
    let (map, cpus) = MemoryMap::read(blob, image::appended(image::region().start()))
        .and_then(|map| Ok((map, cpus::read(blob)?.len())))
        .unwrap_or_else(|error| stop(format_args!("{error}")));
    if cpus > MAX_CPUS {
        stop(format_args!(
            "{cpus} CPUs in the device tree: {MAX_CPUS} are served at most"
        ));
    }
    let tree = Region::new(fdt, tree.len() as u64).ok();
    check_modules(&map.modules, tree);
    let target = place(&map, cpus as u64, tree)
        .unwrap_or_else(|size| stop(format_args!("no {} KiB of free memory", size >> 10)));
    let loaded = image::loaded();
    // SAFETY: The target is free RAM that is not mapped yet: it overlaps neither image nor tree.
    unsafe {
        early::add(&target, Use::Data);
        let source = slice::from_raw_parts(loaded.start() as *const u8, loaded.size() as usize);
        (target.start() as *mut u8).copy_from(source.as_ptr(), source.len());
    }
    // The copy starts with its caches off.
    let image = image::region();
    cache::clean_invalidate_to_poc(target.start() as usize, image.size() as usize);
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

/// The highest place for the monitor that is nobody's; the size that was sought if there is none.
fn place(map: &MemoryMap, cpus: u64, tree: Option<Region>) -> Result<Region, u64> {
    let size = Layout::size(cpus, tree.map_or(0, |tree| tree.size()));
    let mut free: RegionSet = map.memory.iter().copied().collect();
    free.remove_all(&map.reserved);
    let taken = [
        Some(image::region()),
        tree,
        guest::kernel_footprint(map),
        map.modules.ramdisk,
    ];
    for region in taken.into_iter().flatten() {
        // The early map tells memory apart by pages: what shares a page with these is not free.
        free.remove(&region.align_outward(ALIGN).unwrap_or(region));
    }
    free.highest_fit(size, ALIGN).ok_or(size)
}

/// Returns the device tree at physical address `fdt` as its header says its size.
///
/// It is mapped by the early map, as far as the boot protocol lets it reach.
pub fn tree(fdt: u64) -> &'static [u8] {
    // The early map ends at 48 bits.
    if fdt == 0 || !fdt.is_multiple_of(8) || fdt >> 48 != 0 {
        return &[];
    }
    // SAFETY: The early map has what begins at `fdt`; nobody writes it before the guest runs.
    let header = unsafe { slice::from_raw_parts(fdt as *const u8, 8) };
    let size = blob::size_in_header(header).unwrap_or(0);
    // SAFETY: As above.
    unsafe { slice::from_raw_parts(fdt as *const u8, size as usize) }
}

/// The PL011 of QEMU's `virt`, for a tree that does not parse and so names no other.
fn virtual_console() -> Console {
    Console {
        kind: UartKind::Pl011,
        registers: Region::new(0x0900_0000, PAGE).expect("it is no empty region"),
        settings: None,
    }
}

/// Sends the log to `console`, through the early map.
pub fn start_console(console: &Console) {
    // SAFETY: The boot CPU is alone, on the early map, which has no device yet.
    unsafe {
        early::add(&console.registers, Use::Device);
        console::init(console, LevelFilter::Info);
    }
}
