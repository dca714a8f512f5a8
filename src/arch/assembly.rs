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

/// Mixes `count` blocks of 64 bytes into a state of SHA-256, with the CPU's instructions for it (DDI 0487,
/// C7.2 SHA256H). V0 to V31 are as before.
///
/// # Safety
///
/// The CPU has FEAT_SHA256, EL2 may use floating point, and is not in streaming mode. `state` is valid for
/// eight words, and `blocks` for that many.
pub unsafe fn sha256_blocks(state: *mut u32, blocks: *const u8, count: usize) {
    let mut saved = [0_u128; 32];
    // SAFETY: The caller's promise. The registers are put back, so that nobody sees a change of them.
    unsafe {
        asm!(
            ".arch_extension fp",
            ".arch_extension simd",
            ".arch_extension sha2",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "str q\\n, [{saved}, #(16 * \\n)]",
            ".endr",
            "ld1 {{v16.4s, v17.4s, v18.4s, v19.4s}}, [{constants}], #64",
            "ld1 {{v20.4s, v21.4s, v22.4s, v23.4s}}, [{constants}], #64",
            "ld1 {{v24.4s, v25.4s, v26.4s, v27.4s}}, [{constants}], #64",
            "ld1 {{v28.4s, v29.4s, v30.4s, v31.4s}}, [{constants}]",
            // Four rounds: the state in v0 and v1, the words of the message in v`w`.
            ".macro rounds w, k",
            "add v8.4s, v\\w\\().4s, v\\k\\().4s",
            "mov v9.16b, v0.16b",
            "sha256h q0, q1, v8.4s",
            "sha256h2 q1, q9, v8.4s",
            ".endm",
            // The same, and the words that are due 16 rounds later.
            ".macro rounds_and_words w, x, y, z, k",
            "rounds \\w, \\k",
            "sha256su0 v\\w\\().4s, v\\x\\().4s",
            "sha256su1 v\\w\\().4s, v\\y\\().4s, v\\z\\().4s",
            ".endm",
            "ld1 {{v0.4s, v1.4s}}, [{state}]",
            "cbz {count}, 3f",
            "2:",
            "ld1 {{v4.16b, v5.16b, v6.16b, v7.16b}}, [{blocks}], #64",
            ".irp n, 4, 5, 6, 7",
            "rev32 v\\n\\().16b, v\\n\\().16b",
            ".endr",
            "mov v2.16b, v0.16b",
            "mov v3.16b, v1.16b",
            "rounds_and_words 4, 5, 6, 7, 16",
            "rounds_and_words 5, 6, 7, 4, 17",
            "rounds_and_words 6, 7, 4, 5, 18",
            "rounds_and_words 7, 4, 5, 6, 19",
            "rounds_and_words 4, 5, 6, 7, 20",
            "rounds_and_words 5, 6, 7, 4, 21",
            "rounds_and_words 6, 7, 4, 5, 22",
            "rounds_and_words 7, 4, 5, 6, 23",
            "rounds_and_words 4, 5, 6, 7, 24",
            "rounds_and_words 5, 6, 7, 4, 25",
            "rounds_and_words 6, 7, 4, 5, 26",
            "rounds_and_words 7, 4, 5, 6, 27",
            "rounds 4, 28",
            "rounds 5, 29",
            "rounds 6, 30",
            "rounds 7, 31",
            "add v0.4s, v0.4s, v2.4s",
            "add v1.4s, v1.4s, v3.4s",
            "sub {count}, {count}, #1",
            "cbnz {count}, 2b",
            "3:",
            "st1 {{v0.4s, v1.4s}}, [{state}]",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "ldr q\\n, [{saved}, #(16 * \\n)]",
            ".endr",
            ".purgem rounds_and_words",
            ".purgem rounds",
            saved = in(reg) &raw mut saved,
            constants = inout(reg) &raw const SHA256_CONSTANTS => _,
            state = in(reg) state,
            blocks = inout(reg) blocks => _,
            count = inout(reg) count => _,
            options(nostack, preserves_flags),
        );
    }
}

/// FIPS 180-4, 4.2.2.
static SHA256_CONSTANTS: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

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
    /// Loads the word at `address`; returns 0, or all ones if that is aborted.
    ///
    /// # Safety
    ///
    /// As [`answers`](super::probe::answers).
    pub fn try_load(address: u64) -> u64;

    /// Loads the word of 32 bits at `address`, and returns it; all ones if that is aborted.
    ///
    /// # Safety
    ///
    /// As [`word`](super::probe::word).
    pub fn try_load_word(address: u64) -> u32;

    /// `probe.S`: returns `DBGAUTHSTATUS_EL1`; all ones if it is UNDEFINED.
    ///
    /// # Safety
    ///
    /// To be called at EL2, with interrupts masked.
    pub fn try_debug_authentication() -> u64;
}
