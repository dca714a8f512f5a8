// SPDX-License-Identifier: Apache-2.0
//! Copying and zeroing memory with general registers, and cleaning it from the caches on the way.

use super::{cache, routines};
use baton_sysreg::read_sysreg;

/// Bytes of a turn of the copy loop: a cache line of nearly every CPU.
pub const TURN: u64 = 64;

/// `DCZID_EL0.DZP`: DC ZVA is prohibited.
const ZVA_PROHIBITED: u64 = 1 << 4;

/// Copies `size` bytes from `source` to `destination`, and cleans each line of the copy to the point
/// of coherency as soon as it is whole. The caller executes `dsb sy`.
///
/// # Safety
///
/// Both are valid for `size` bytes and do not overlap, and both starts and `size` are multiples of
/// [`TURN`].
pub unsafe fn copy_and_clean(destination: *mut u8, source: *const u8, size: usize) {
    debug_assert!((size as u64).is_multiple_of(TURN));
    // SAFETY: The caller's promise.
    unsafe { routines::copy_turns(destination, source, size) };
    // Where a line is shorter than a turn, it cleaned the first line of each turn.
    if (cache::data_line() as u64) < TURN {
        cache::clean_lines_to_poc(destination as usize, size);
    }
}

/// Fills `size` bytes from `destination` on with zeroes.
///
/// # Safety
///
/// They are valid for writes, normal memory, and both ends are aligned to 8 bytes.
pub unsafe fn zero(destination: *mut u8, size: usize) {
    let block = zva_block();
    let (start, end) = (destination as usize, destination as usize + size);
    // What does not fill a block at either end goes word by word.
    let first = start.next_multiple_of(block).min(end);
    let last = (end & !(block - 1)).max(first);
    // SAFETY: All of it lies between `start` and `end`.
    unsafe {
        zero_words(start, first);
        routines::zero_blocks(first, last, block);
        zero_words(last, end);
    }
}

/// # Safety
///
/// As [`zero`].
unsafe fn zero_words(start: usize, end: usize) {
    for at in (start..end).step_by(8) {
        // SAFETY: The caller's promise.
        unsafe { (at as *mut u64).write_volatile(0) }
    }
}

/// Returns the block of DC ZVA in bytes, or a size that no block reaches where it is prohibited.
fn zva_block() -> usize {
    // SAFETY: DCZID_EL0 is an ID register.
    let dczid = unsafe { read_sysreg!(DCZID_EL0) };
    if dczid & ZVA_PROHIBITED == 0 {
        4 << (dczid & 0xf)
    } else {
        1 << 30
    }
}

#[cfg(test)]
mod tests;
