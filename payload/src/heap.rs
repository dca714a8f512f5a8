// SPDX-License-Identifier: Apache-2.0
//! No heap. A build of the whole workspace gives the device tree's crate features that link `alloc`;
//! the probe uses none of them.

use core::alloc::{GlobalAlloc, Layout};

struct NoHeap;

// SAFETY: it never hands out memory, which an allocator may always refuse to do.
unsafe impl GlobalAlloc for NoHeap {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static HEAP: NoHeap = NoHeap;
