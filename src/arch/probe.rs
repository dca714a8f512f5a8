// SPDX-License-Identifier: Apache-2.0
//! A load that may fail: whether anything answers at an address.

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
    unsafe { routines::try_load(address) != 0 }
}
