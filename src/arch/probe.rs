// SPDX-License-Identifier: Apache-2.0
//! What may end in an exception: a load where perhaps nothing answers, and a register that QEMU 7.2 does not have.

use super::routines;

/// Returns whether a load of the word at `address` is answered, rather than aborted from outside.
///
/// An abort that comes later than its load, as an SError, is the guest's.
///
/// # Safety
///
/// EL2 maps it as memory, and it is a multiple of 8. It must be of no device that a load changes.
pub unsafe fn answers(address: u64) -> bool {
    // SAFETY: The caller's promise.
    unsafe { routines::try_load(address) == 0 }
}

/// Returns the word of 32 bits at `address`; all ones if nothing answers there, and the load is aborted.
///
/// An abort that comes later than its load, as an SError, is the guest's.
///
/// # Safety
///
/// EL2 maps it, and it is a multiple of 4. It must be of no device that a load changes.
#[inline]
pub unsafe fn word(address: u64) -> u32 {
    // SAFETY: The caller's promise.
    unsafe { routines::try_load_word(address) }
}

/// Returns `DBGAUTHSTATUS_EL1`, which the architecture has on every CPU, or 0 where QEMU has none.
pub fn debug_authentication() -> u64 {
    // SAFETY: The register only tells, and an exception of the read is passed over.
    match unsafe { routines::try_debug_authentication() } {
        u64::MAX => 0,
        found => found,
    }
}
