// SPDX-License-Identifier: Apache-2.0
//! Moving memory with general registers: two at a time, a line at a time.

use super::cache;
use baton_sysreg::read_sysreg;
use core::arch::asm;

/// Bytes of a turn of the copy loop: a cache line.
pub const TURN: u64 = 64;
/// Bytes of a turn where there is that much left.
const LONG_TURN: u64 = 8 * TURN;

/// Copies `size` bytes from `source` to `destination`, and cleans each line of the copy to the point
/// of coherency as it is whole. A barrier is left to the caller.
///
/// # Safety
///
/// Both are valid for `size` bytes and do not overlap, and both starts and `size` are multiples of
/// [`TURN`].
pub unsafe fn copy_and_clean(destination: *mut u8, source: *const u8, size: usize) {
    debug_assert!((size as u64).is_multiple_of(TURN));
    let (lines, turns) = (size as u64 % LONG_TURN / TURN, size as u64 / LONG_TURN);
    // SAFETY: The loops read and write `size` bytes from each start on. A line is TURN bytes on
    // nearly every CPU; where it is shorter, `clean_lines_to_poc` does what one clean leaves.
    unsafe {
        asm!(
            ".macro line",
            "ldp {a}, {b}, [{source}], #64",
            "ldp {c}, {d}, [{source}, #-48]",
            "ldp {e}, {f}, [{source}, #-32]",
            "ldp {g}, {h}, [{source}, #-16]",
            "stp {a}, {b}, [{destination}]",
            "stp {c}, {d}, [{destination}, #16]",
            "stp {e}, {f}, [{destination}, #32]",
            "stp {g}, {h}, [{destination}, #48]",
            "dc cvac, {destination}",
            "add {destination}, {destination}, #64",
            ".endm",
            "cbz {lines}, 3f",
            "2:",
            "line",
            "sub {lines}, {lines}, #1",
            "cbnz {lines}, 2b",
            "3:",
            "cbz {turns}, 5f",
            "4:",
            ".rept 8",
            "line",
            ".endr",
            "sub {turns}, {turns}, #1",
            "cbnz {turns}, 4b",
            "5:",
            ".purgem line",
            source = inout(reg) source => _,
            destination = inout(reg) destination => _,
            lines = inout(reg) lines => _,
            turns = inout(reg) turns => _,
            a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
            e = out(reg) _, f = out(reg) _, g = out(reg) _, h = out(reg) _,
            options(nostack, preserves_flags),
        );
    }
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
        let mut at = first;
        while at < last {
            asm!("dc zva, {}", in(reg) at, options(nostack, preserves_flags));
            at += block;
        }
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

/// Returns the block of DC ZVA in bytes, or a size that no block reaches where it is forbidden.
fn zva_block() -> usize {
    // SAFETY: DCZID_EL0 is an ID register.
    let dczid = unsafe { read_sysreg!(DCZID_EL0) };
    if dczid & 1 << 4 == 0 {
        4 << (dczid & 0xf)
    } else {
        1 << 30
    }
}
