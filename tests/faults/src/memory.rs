// SPDX-License-Identifier: Apache-2.0
//! Memory of which nothing is left that is large and aligned.

use crate::firmware::Firmware;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

/// Bytes of a block, on such a boundary: the least that the monitor takes.
const BLOCK: u64 = 2 << 20;
/// A bit for each block below 8 GiB, whose first page is taken.
static TAKEN: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

/// Takes the first page of every block that is free.
pub fn scatter(firmware: &Firmware) -> bool {
    let mut any = false;
    for (word, first) in TAKEN.iter().zip((0..).step_by(64)) {
        for bit in 0..64 {
            if firmware.take_page((first + bit) * BLOCK) {
                word.fetch_or(1 << bit, Relaxed);
                any = true;
            }
        }
    }
    any
}

/// Gives all of them back.
pub fn give_back(firmware: &Firmware) {
    for (word, first) in TAKEN.iter().zip((0..).step_by(64)) {
        let taken = word.swap(0, Relaxed);
        for bit in (0..64).filter(|bit| taken >> bit & 1 != 0) {
            firmware.give_page((first + bit) * BLOCK);
        }
    }
}
