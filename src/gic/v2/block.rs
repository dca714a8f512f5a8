// SPDX-License-Identifier: Apache-2.0
//! Registers that every CPU may reach at once.

use crate::gic::v2::GicV2Error;
use core::num::NonZero;
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
    /// # Errors
    ///
    /// [`GicV2Error::BadAddress`].
    ///
    /// # Safety
    ///
    /// As [`GicV2::new`](super::GicV2::new).
    pub unsafe fn at(base: usize) -> Result<Self, GicV2Error> {
        match NonZero::new(base) {
            Some(address) if base & 0xfff == 0 => {
                Ok(Self(NonNull::with_exposed_provenance(address)))
            }
            _ => Err(GicV2Error::BadAddress { base }),
        }
    }

    /// Returns the registers, as the CPU that runs this sees them.
    pub fn registers(&self) -> UniqueMmioPointer<'_, T> {
        // SAFETY: `at` was promised that they are there.
        unsafe { UniqueMmioPointer::new(self.0) }
    }
}
