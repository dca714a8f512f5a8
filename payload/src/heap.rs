// SPDX-License-Identifier: Apache-2.0
//! A heap that gives out memory once, for what is read of the machine when a generation begins.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Its bytes.
const SIZE: usize = 128 * 1024;

#[repr(C, align(4096))]
struct Heap {
    bytes: UnsafeCell<[u8; SIZE]>,
    used: AtomicUsize,
}

// SAFETY: `alloc` gives no byte out twice.
unsafe impl Sync for Heap {}

// SAFETY: what `alloc` returns lies in `bytes`, is aligned as asked for, and nobody else's.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let fit = |used: usize| {
            let start = used.checked_next_multiple_of(layout.align())?;
            let end = start.checked_add(layout.size())?;
            (end <= SIZE).then_some((start, end))
        };
        let taken = self
            .used
            .fetch_update(Relaxed, Relaxed, |used| fit(used).map(|(_, end)| end));
        match taken.ok().and_then(fit) {
            // SAFETY: the offset is inside the array.
            Some((start, _)) => unsafe { self.bytes.get().cast::<u8>().add(start) },
            None => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static HEAP: Heap = Heap {
    bytes: UnsafeCell::new([0; SIZE]),
    used: AtomicUsize::new(0),
};
