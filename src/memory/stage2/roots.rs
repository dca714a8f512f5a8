// SPDX-License-Identifier: Apache-2.0
//! Roots of stage 2: tables that lie one behind the other (Arm ARM, D8.2.2, concatenated translation
//! tables).

use crate::arch::copy::zero_words;
use alloc::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use baton_core::memory::geometry::Geometry;
use core::ptr::NonNull;
use core::slice;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

/// Bytes of a table.
const TABLE: usize = 4096;

/// A number of roots, all empty at first.
pub struct Roots {
    first: NonNull<AtomicU64>,
    layout: Layout,
    /// Bytes of a root.
    size: usize,
}

// SAFETY: It owns what it points to, whose words are atomic.
unsafe impl Send for Roots {}
// SAFETY: As above.
unsafe impl Sync for Roots {}

impl Roots {
    /// Makes `count` roots of as many tables as `geometry` needs.
    pub fn new(geometry: &Geometry, count: usize) -> Self {
        let size = geometry.root_tables() * TABLE;
        // A power of two, so that each root begins at a multiple of its size.
        let layout = Layout::from_size_align(size * count, size);
        let layout = layout.expect("a root has a power of two of tables");
        // SAFETY: It has a size.
        let Some(first) = NonNull::new(unsafe { alloc_zeroed(layout) }) else {
            handle_alloc_error(layout)
        };
        Self {
            first: first.cast(),
            layout,
            size,
        }
    }

    /// Returns the physical address of a root.
    pub fn address(&self, root: usize) -> u64 {
        self.entries(root).as_ptr().expose_provenance() as u64
    }

    /// Sets each entry of a root to what `entry` returns for its index.
    pub fn fill(&self, root: usize, entry: impl Fn(usize) -> u64) {
        for (index, place) in self.entries(root).iter().enumerate() {
            place.store(entry(index), Relaxed);
        }
    }

    /// Empties a root: every entry is stored as a whole, as CPUs may walk it meanwhile.
    pub fn empty(&self, root: usize) {
        let entries = self.entries(root).as_ptr().cast_mut().cast::<u64>();
        // SAFETY: They are the root's own, which is a multiple of a table long.
        unsafe { zero_words(entries, self.size) }
    }

    fn entries(&self, root: usize) -> &[AtomicU64] {
        let words = self.size / size_of::<AtomicU64>();
        let all = self.layout.size() / size_of::<AtomicU64>();
        // SAFETY: They were allocated, are zeroed, and atomic: nobody has another reference to them.
        let all = unsafe { slice::from_raw_parts(self.first.as_ptr(), all) };
        &all[root * words..][..words]
    }
}

impl Drop for Roots {
    fn drop(&mut self) {
        // SAFETY: `new` allocated it so.
        unsafe { dealloc(self.first.as_ptr().cast(), self.layout) }
    }
}
