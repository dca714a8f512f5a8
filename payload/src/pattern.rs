// SPDX-License-Identifier: Apache-2.0
//! Memory contents that say where they belong.

/// A mixer of 64-bit words (splitmix64's finaliser).
pub fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// The word at an index of the pattern of a seed.
pub fn word(seed: u64, index: u64) -> u64 {
    mix(seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// Fills memory with words `first…` of a pattern.
///
/// # Safety
/// `address` is 8-byte aligned, and the `size` bytes from it on are RAM that nothing else uses.
pub unsafe fn fill(address: u64, size: u64, seed: u64, first: u64) {
    for n in 0..size / 8 {
        // SAFETY: inside what the caller vouches for.
        unsafe {
            (address as *mut u64)
                .add(n as usize)
                .write_volatile(word(seed, first + n))
        };
    }
}

/// Looks for the first word that is not as [`fill`] left it: its address, what was expected, seen.
///
/// # Safety
/// `address` is 8-byte aligned, and the `size` bytes from it on are RAM.
pub unsafe fn find_damage(
    address: u64,
    size: u64,
    seed: u64,
    first: u64,
) -> Option<(u64, u64, u64)> {
    (0..size / 8).find_map(|n| {
        let at = address + n * 8;
        // SAFETY: inside what the caller vouches for.
        let seen = unsafe { (at as *const u64).read_volatile() };
        let expected = word(seed, first + n);
        (seen != expected).then_some((at, expected, seen))
    })
}

/// A checksum that depends on the order of the words.
///
/// # Safety
/// `start` is 8-byte aligned, and all up to `end` is readable memory.
pub unsafe fn checksum(start: u64, end: u64) -> u64 {
    (start..end).step_by(8).fold(0, |sum: u64, at| {
        // SAFETY: inside what the caller vouches for.
        sum.rotate_left(5)
            .wrapping_add(unsafe { (at as *const u64).read_volatile() })
    })
}
