// SPDX-License-Identifier: Apache-2.0
//! What takes more than one instruction, or registers that Rust does not have, and calls of
//! firmware.
//!
//! `fake` has functions of the same names and results for a PC.

use super::copy::TURN;
use core::arch::{asm, global_asm};

pub use smccc::Smc;

/// Bytes that one LDP or STNP of two registers moves.
const PAIR: u64 = 16;
/// Turns of the copy loop that are written out one after another where there is that much left: as
/// many as the offsets of STNP reach.
const UNROLLED: u64 = 8;
/// Lines that are cleaned one after another likewise.
const CLEANED: u64 = 16;

/// Copies `size` bytes from `source` to `destination`, turn by turn, with stores that ask for no place
/// in the caches.
///
/// # Safety
///
/// As [`copy_and_clean`](super::copy::copy_and_clean).
pub unsafe fn copy_turns(destination: *mut u8, source: *const u8, size: usize) {
    let turns = size as u64 / TURN;
    let (single, unrolled) = (turns % UNROLLED, turns / UNROLLED);
    // SAFETY: The loops read and write `size` bytes from each start on.
    unsafe {
        asm!(
            ".macro turn at",
            "ldp {a}, {b}, [{source}], #{turn}",
            "ldp {c}, {d}, [{source}, #(1 * {pair} - {turn})]",
            "ldp {e}, {f}, [{source}, #(2 * {pair} - {turn})]",
            "ldp {g}, {h}, [{source}, #(3 * {pair} - {turn})]",
            "stnp {a}, {b}, [{destination}, #(\\at)]",
            "stnp {c}, {d}, [{destination}, #(\\at + 1 * {pair})]",
            "stnp {e}, {f}, [{destination}, #(\\at + 2 * {pair})]",
            "stnp {g}, {h}, [{destination}, #(\\at + 3 * {pair})]",
            ".endm",
            "cbz {single}, 3f",
            "2:",
            "turn 0",
            "add {destination}, {destination}, #{turn}",
            "sub {single}, {single}, #1",
            "cbnz {single}, 2b",
            "3:",
            "cbz {unrolled}, 5f",
            "4:",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7",
            "turn (\\n * {turn})",
            ".endr",
            "add {destination}, {destination}, #({UNROLLED} * {turn})",
            "sub {unrolled}, {unrolled}, #1",
            "cbnz {unrolled}, 4b",
            "5:",
            ".purgem turn",
            source = inout(reg) source => _,
            destination = inout(reg) destination => _,
            single = inout(reg) single => _,
            unrolled = inout(reg) unrolled => _,
            a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
            e = out(reg) _, f = out(reg) _, g = out(reg) _, h = out(reg) _,
            turn = const TURN,
            pair = const PAIR,
            UNROLLED = const UNROLLED,
            options(nostack, preserves_flags),
        );
    }
}

/// Cleans and invalidates the line at the start of each turn of the `size` bytes from `start` to the
/// point of coherency.
pub fn clean_turns(start: usize, size: usize) {
    let turns = size as u64 / TURN;
    let (single, unrolled) = (turns % CLEANED, turns / CLEANED);
    // SAFETY: Clean and invalidate changes no value that this CPU can see.
    unsafe {
        asm!(
            ".macro clean",
            "dc civac, {at}",
            "add {at}, {at}, #{turn}",
            ".endm",
            "cbz {single}, 3f",
            "2:",
            "clean",
            "sub {single}, {single}, #1",
            "cbnz {single}, 2b",
            "3:",
            "cbz {unrolled}, 5f",
            "4:",
            ".rept {CLEANED}",
            "clean",
            ".endr",
            "sub {unrolled}, {unrolled}, #1",
            "cbnz {unrolled}, 4b",
            "5:",
            ".purgem clean",
            at = inout(reg) start => _,
            single = inout(reg) single => _,
            unrolled = inout(reg) unrolled => _,
            turn = const TURN,
            CLEANED = const CLEANED,
            options(nostack, preserves_flags),
        );
    }
}

/// Zeroes from `start` to `end` in blocks of `block` bytes (DC ZVA).
///
/// # Safety
///
/// They are valid for writes and normal memory, and both are multiples of `block`, which is what
/// `DCZID_EL0` says.
pub unsafe fn zero_blocks(start: usize, end: usize, block: usize) {
    let mut at = start;
    while at < end {
        // SAFETY: The block lies between `start` and `end`.
        unsafe { asm!("dc zva, {}", in(reg) at, options(nostack, preserves_flags)) };
        at += block;
    }
}

/// Zeroes `size` bytes from `start` on, word by word.
///
/// # Safety
///
/// As [`zero_words`](super::copy::zero_words).
pub unsafe fn zero_words(start: *mut u64, size: usize) {
    // SAFETY: The loop writes `size` bytes from `start` on. STP of X registers is two stores, each of them
    // single-copy atomic.
    unsafe {
        asm!(
            "cbz {size}, 3f",
            "2:",
            "stp xzr, xzr, [{start}], #128",
            ".irp pair, 1, 2, 3, 4, 5, 6, 7",
            "stp xzr, xzr, [{start}, #(16 * \\pair - 128)]",
            ".endr",
            "subs {size}, {size}, #128",
            "b.ne 2b",
            "3:",
            start = inout(reg) start => _,
            size = inout(reg) size => _,
            options(nostack),
        );
    }
}

/// Zeroes V0 to V31; returns the OR of what is read back from all of them.
///
/// # Safety
///
/// The CPU has floating point, EL2 may use it, and nobody keeps anything in these registers.
pub unsafe fn clear_v() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: The caller's promise.
    unsafe {
        asm!(
            ".arch_extension fp",
            ".arch_extension simd",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "movi v\\n\\().2d, #0",
            ".endr",
            ".irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "orr v0.16b, v0.16b, v\\n\\().16b",
            ".endr",
            "umov {low}, v0.d[0]",
            "umov {high}, v0.d[1]",
            low = out(reg) low,
            high = out(reg) high,
            options(nostack, preserves_flags),
        );
    }
    low | high
}

/// Zeroes Z0 to Z31, P0 to P15 and FFR at the length that `ZCR_EL2` gives; returns the OR of what
/// is read back from all of Z0 to Z31.
///
/// # Safety
///
/// As [`clear_v`], for SVE.
pub unsafe fn clear_z() -> u64 {
    let any: u64;
    // SAFETY: The caller's promise.
    unsafe {
        asm!(
            ".arch_extension sve",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "mov z\\n\\().d, #0",
            ".endr",
            ".irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "orr z0.d, z0.d, z\\n\\().d",
            ".endr",
            "ptrue p0.d",
            "orv d0, p0, z0.d",
            ".arch_extension fp",
            "fmov {any}, d0",
            "mov z0.d, #0",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "pfalse p\\n\\().b",
            ".endr",
            "wrffr p0.b",
            any = out(reg) any,
            options(nostack, preserves_flags),
        );
    }
    any
}

global_asm!(include_str!("probe.S"));

unsafe extern "C" {
    /// Loads the word at `address`; returns 0 if that is aborted.
    ///
    /// # Safety
    ///
    /// As [`answers`](super::probe::answers).
    pub fn try_load(address: u64) -> u64;

    /// `probe.S`: returns `DBGAUTHSTATUS_EL1`; 0 if it is UNDEFINED.
    ///
    /// # Safety
    ///
    /// To be called at EL2, with interrupts masked.
    pub fn try_debug_authentication() -> u64;
}
