// SPDX-License-Identifier: Apache-2.0
//! How the monitor divides its own memory.

use super::image;
use baton_core::memory::layout::{GUARD, PAGE, STACK};
use baton_core::memory::region::Region;

/// The monitor's memory starts and ends on the largest blocks that Linux maps its memory with.
pub const ALIGN: u64 = 2 << 20;
/// Heap for what does not grow with the machine: the stage 1 and 2 tables, and trees on their way.
const HEAP_BASE: u64 = 3 << 19;
/// Heap for each CPU.
const HEAP_PER_CPU: u64 = 4 << 10;
/// Room for what the guest's tree says beyond the board's.
pub const TREE_GROWTH: u64 = 16 << 10;

/// The monitor's memory, from its start on: the image, the stacks, the heap.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// All of it.
    pub whole: Region,
    /// The stacks, each with its guard page below it, by CPU index.
    pub stacks: u64,
    /// The heap.
    pub heap: Region,
    /// What the image was handed, up to the end, if that lies in the monitor's memory.
    pub given: Option<Region>,
}

impl Layout {
    /// Returns the size in bytes that a machine with `cpus` CPUs needs, with a guest's tree made from one of
    /// `tree` bytes, and `given` bytes that the image is handed in its own memory.
    pub fn size(cpus: u64, tree: u64, given: u64) -> u64 {
        let heap = HEAP_BASE + HEAP_PER_CPU * cpus + 2 * (tree + TREE_GROWTH);
        let given = given.next_multiple_of(PAGE);
        (image::region().size() + (STACK + GUARD) * cpus + heap + given).next_multiple_of(ALIGN)
    }

    /// Divides the memory that begins at the image, for a machine like that.
    pub fn here(cpus: u64, tree: u64, given: u64) -> Self {
        let image = image::region();
        let size = Self::size(cpus, tree, given);
        let stacks = image.end().next_multiple_of(PAGE);
        let heap = stacks + (STACK + GUARD) * cpus;
        let end = image.start() + size;
        let heap_end = end - given.next_multiple_of(PAGE);
        Self {
            whole: Region::new(image.start(), size).expect("it was placed in RAM"),
            stacks,
            heap: Region::from_bounds(heap, heap_end).expect("size() has room for it"),
            given: Region::from_bounds(heap_end, end).ok(),
        }
    }
}
