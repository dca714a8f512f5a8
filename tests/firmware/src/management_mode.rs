// SPDX-License-Identifier: Apache-2.0
//! What reaches the services of EL3 that are told of memory, or call into the level below: Management Mode
//! (DEN0060A) and SDEI (DEN0054). It believes every address of RAM, as no firmware should.

use crate::board::{in_ram, read64, write64};

const MM_VERSION: u32 = 0x8400_0040;
const MM_COMMUNICATE_32: u32 = 0x8400_0041;
const MM_COMMUNICATE_64: u32 = 0xc400_0041;
/// 1.0
const VERSION: u64 = 1 << 16;
/// DENIED (DEN0060A, 4.2): what nobody else here answers.
const DENIED: u64 = -3_i64 as u64;

/// A message: a GUID, the length of its data, its data.
const LENGTH: u64 = 16;
const DATA: u64 = 24;
/// What it writes to the first and the last word of the data.
const MARK: u64 = 0x6b72_616d_6575_6c61;

/// All of SDEI's functions.
const SDEI: core::ops::RangeInclusive<u32> = 0xc400_0020..=0xc400_003f;
/// SDEI_VERSION: 1.0, in bits 63:48.
const SDEI_VERSION: u64 = 1 << 48;

/// Answers the SMC whose arguments are in `x`, if it is one of these.
pub fn answer(x: &[u64; 8]) -> Option<[u64; 4]> {
    match x[0] as u32 {
        MM_VERSION => Some([VERSION, 0, 0, 0]),
        MM_COMMUNICATE_32 => Some(communicate(x[2] & 0xffff_ffff, x[2])),
        MM_COMMUNICATE_64 => Some(communicate(x[2], x[2])),
        id if SDEI.contains(&id) => Some([SDEI_VERSION, 0, 0, 0]),
        _ => None,
    }
}

/// Marks the data of a message, and returns the register that told where it lies.
fn communicate(message: u64, register: u64) -> [u64; 4] {
    if !in_ram(message) {
        return [DENIED, register, 0, 0];
    }
    let length = read64(message + LENGTH);
    for at in [0, length.saturating_sub(8)] {
        if in_ram((message + DATA).saturating_add(at)) {
            write64(message + DATA + at, MARK);
        }
    }
    [0, register, 0, 0]
}
