// SPDX-License-Identifier: Apache-2.0
//! Bytes of firmware's memory that are changed, to be changed back.

use spin::mutex::SpinMutex;

/// Bytes that can be.
const MAX: usize = 16;

struct Changes {
    /// Where, and what was there.
    bytes: [(usize, u8); MAX],
    used: usize,
}

static CHANGES: SpinMutex<Changes> = SpinMutex::new(Changes {
    bytes: [(0, 0); MAX],
    used: 0,
});

/// Changes a byte.
///
/// # Safety
///
/// It is in memory that firmware maps for writing, and nobody has a reference to it.
pub unsafe fn change(place: *mut u8, byte: u8) {
    let mut changes = CHANGES.lock();
    let used = changes.used;
    // SAFETY: The caller's promise.
    changes.bytes[used] = (place as usize, unsafe { place.read() });
    changes.used += 1;
    // SAFETY: As above.
    unsafe { place.write_volatile(byte) };
}

/// Changes all back, the last first.
pub fn undo() {
    let mut changes = CHANGES.lock();
    while let Some(last) = changes.used.checked_sub(1) {
        let (place, byte) = changes.bytes[last];
        // SAFETY: `change` was promised that it can be written.
        unsafe { (place as *mut u8).write_volatile(byte) };
        changes.used = last;
    }
}
