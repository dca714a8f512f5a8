// SPDX-License-Identifier: Apache-2.0
//! Registers that every CPU may reach at once.

use core::ptr::NonNull;
use safe_mmio::UniqueMmioPointer;

/// A block of registers.
pub struct Block<T>(NonNull<T>);

// SAFETY: What is banked is each CPU's own; what is shared is changed by who has the lock of it.
unsafe impl<T> Send for Block<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Block<T> {}

impl<T> Block<T> {
    /// Takes the block at `base`.
    ///
    /// # Safety
    ///
    /// It is there, mapped as device memory as long as the monitor lives. Of what CPUs share in it, no two
    /// write the same register at once.
    pub unsafe fn new(base: NonNull<T>) -> Self {
        Self(base)
    }

    /// Returns the registers, as the CPU that runs this sees them.
    pub fn registers(&self) -> UniqueMmioPointer<'_, T> {
        // SAFETY: `new` was promised that they are there.
        unsafe { UniqueMmioPointer::new(self.0) }
    }
}
