// SPDX-License-Identifier: Apache-2.0
//! Copying and zeroing memory with general registers, and cleaning it from the caches on the way.

use super::{cache, routines};
use baton_sysreg::read_sysreg;

/// Bytes of a turn of the copy loop: a cache line of nearly every CPU.
pub const TURN: u64 = 64;

/// `DCZID_EL0.DZP`: DC ZVA is prohibited.
const ZVA_PROHIBITED: u64 = 1 << 4;

/// Bytes that are copied before their lines are cleaned: the smallest page, which every first-level
/// cache has room for.
const RUN: usize = 4096;

/// Copies `size` bytes from `source` to `destination`, and cleans the copy to the point of coherency,
/// a [`RUN`] at a time. The caller executes `dsb sy`.
///
/// A byte copied should cross the memory bus twice, read and written, and not a third time as its
/// line is read to be written. What decides that (docs/hardware.md, "The copy", has it core by core):
/// - Whole lines, stored one after another, are not read first: write streaming (Cortex-A76 TRM
///   100798, A6.2.6; Neoverse N2 TRM 102099, 8.5). It ends where a line is not whole, so cleaning waits
///   until a run is stored.
/// - STNP asks for the same from the first line on, and costs nothing where a core takes it for STP.
/// - No DC ZVA before the stores: it is a store of a line itself, which streams out as such, so the
///   line would go out twice.
/// - LDP, not LDNP, which small cores do not keep in the first level, so that each would go to the
///   second (Cortex-A35 TRM 100236, A6.5); and no PRFM: a page is long and regular, which prefetchers
///   see by themselves (A76, A6.5), and one more instruction for each line is not free.
///
/// # Safety
///
/// Both are valid for `size` bytes and do not overlap, and both starts and `size` are multiples of
/// [`TURN`].
pub unsafe fn copy_and_clean(destination: *mut u8, source: *const u8, size: usize) {
    debug_assert!((size as u64).is_multiple_of(TURN));
    for start in (0..size).step_by(RUN) {
        let run = RUN.min(size - start);
        // SAFETY: The caller's promise; the run lies inside of both.
        unsafe { routines::copy_turns(destination.add(start), source.add(start), run) };
        routines::clean_turns(destination as usize + start, run);
    }
    // Where a line is shorter than a turn, that was the first line of each turn.
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
        zero_edge(start, first);
        routines::zero_blocks(first, last, block);
        zero_edge(last, end);
    }
}

/// Zeroes `size` bytes of words from `start` on, each of them by one store: who reads one meanwhile sees all
/// of it or nothing (Arm ARM, B2.2.1).
///
/// # Safety
///
/// They are valid for writes, nobody writes them meanwhile, `start` is a multiple of 8, and `size` of 128.
pub unsafe fn zero_words(start: *mut u64, size: usize) {
    debug_assert!(size.is_multiple_of(128));
    // SAFETY: The caller's promise.
    unsafe { routines::zero_words(start, size) }
}

/// # Safety
///
/// As [`zero`].
unsafe fn zero_edge(start: usize, end: usize) {
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
