// SPDX-License-Identifier: Apache-2.0
//! The monitor's heap: filled at boot, sealed during a takeover.

use baton_core::sync::Lock;
use baton_sysreg::read_sysreg;
use buddy_system_allocator::Heap;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Bytes of the heap inside the image, which serves until the memory map is known.
const EARLY_SIZE: usize = 256 << 10;
/// Blocks of up to 2³¹ bytes.
const ORDER: usize = 32;

#[repr(align(4096))]
struct EarlyArena(UnsafeCell<[u8; EARLY_SIZE]>);

// SAFETY: Its address is taken once, in `init_early`; from then on the heap alone uses it.
unsafe impl Sync for EarlyArena {}

static EARLY: EarlyArena = EarlyArena(UnsafeCell::new([0; EARLY_SIZE]));

/// A buddy system behind a lock.
pub struct MonitorHeap {
    heap: Lock<Heap<ORDER>>,
    sealed: AtomicBool,
    /// `TPIDR_EL2` of the CPU for which it is open although it is sealed, or 0.
    open_for: AtomicU64,
    /// Without the MMU: where in the arena of the image the next block begins; else 0.
    next: AtomicUsize,
}

impl MonitorHeap {
    /// Returns a heap without any memory.
    pub const fn new() -> Self {
        Self {
            heap: Lock::new(Heap::new()),
            sealed: AtomicBool::new(false),
            open_for: AtomicU64::new(0),
            next: AtomicUsize::new(0),
        }
    }

    /// Gives it the arena inside the image. To be called once.
    pub fn init_early(&self) {
        // SAFETY: The arena is used for nothing else.
        unsafe { self.heap.lock().init(EARLY.0.get() as usize, EARLY_SIZE) }
    }

    /// Has it hand out the arena inside the image block by block, and take none back. No exclusive access is
    /// made, which memory need not support while the MMU is off (Arm ARM, "Load-Exclusive and Store-Exclusive instruction usage
    /// restrictions"): the CPU is alone.
    pub fn init_without_mmu(&self) {
        self.next.store(EARLY.0.get() as usize, Relaxed);
    }

    /// Hands out a block of the arena, whose free part begins at `next`.
    fn hand_out(&self, next: usize, layout: Layout) -> *mut u8 {
        let start = EARLY.0.get().cast::<u8>();
        let block = next.next_multiple_of(layout.align());
        let offset = block - start as usize;
        match offset.checked_add(layout.size()) {
            Some(end) if end <= EARLY_SIZE => {
                self.next.store(block + layout.size(), Relaxed);
                start.wrapping_add(offset)
            }
            _ => null_mut(),
        }
    }

    /// Gives it the `size` bytes from `start` on.
    ///
    /// # Safety
    ///
    /// They are mapped read-write, and nothing else uses them, ever.
    pub unsafe fn add(&self, start: usize, size: usize) {
        // SAFETY: Handed on to the caller.
        unsafe { self.heap.lock().add_to_heap(start, start + size) }
    }

    /// Seals or unseals it. While it is sealed, every allocation fails: a teardown must not depend
    /// on free memory.
    pub fn seal(&self, sealed: bool) {
        self.sealed.store(sealed, Relaxed);
    }

    /// Runs `then` with it open for this CPU, which the takeover gives time for more than a teardown.
    pub fn open_here<T>(&self, then: impl FnOnce() -> T) -> T {
        self.open_for.store(this_cpu(), Relaxed);
        let result = then();
        self.open_for.store(0, Relaxed);
        result
    }

    /// Returns whether this CPU may not allocate.
    fn is_sealed(&self) -> bool {
        self.sealed.load(Relaxed) && self.open_for.load(Relaxed) != this_cpu()
    }

    /// Returns the bytes in use.
    pub fn used(&self) -> usize {
        self.heap.lock().stats_alloc_actual()
    }
}

impl Default for MonitorHeap {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns what tells CPUs apart once each knows which it is: before, nothing is sealed.
fn this_cpu() -> u64 {
    // SAFETY: TPIDR_EL2 is the monitor's own.
    unsafe { read_sysreg!(TPIDR_EL2) }
}

/// The heap of the monitor.
pub static HEAP: MonitorHeap = MonitorHeap::new();

/// The global allocator of the monitor's binary: [`HEAP`].
pub struct Global;

// SAFETY: The buddy system hands out disjoint blocks that fit the layout.
unsafe impl GlobalAlloc for Global {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if HEAP.is_sealed() {
            return null_mut();
        }
        match HEAP.next.load(Relaxed) {
            0 => {
                let block = HEAP.heap.lock().alloc(layout);
                block.map_or(null_mut(), NonNull::as_ptr)
            }
            next => HEAP.hand_out(next, layout),
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if HEAP.next.load(Relaxed) != 0 {
            return;
        }
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: The caller got it from `alloc` with the same layout.
            unsafe { HEAP.heap.lock().dealloc(pointer, layout) }
        }
    }
}
