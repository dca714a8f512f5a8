// SPDX-License-Identifier: Apache-2.0
//! Whether the monitor is there.

use crate::call::{self, Conduit};
use crate::exception::attempt;
use baton_abi::{UID, UID_WORDS};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

static MEMORY: AtomicU64 = AtomicU64::new(0);

/// Remembers an address of the monitor's memory.
pub fn set_memory(address: u64) {
    MEMORY.store(address, Relaxed);
}

/// An address of the monitor's memory.
pub fn memory() -> u64 {
    MEMORY.load(Relaxed)
}

/// The first four registers of the `UID` call, or `None` where HVC is undefined.
pub fn uid() -> Option<[u32; 4]> {
    attempt(|| call::raw(Conduit::Hvc, UID, [0; 3]))
        .ok()
        .map(|words| words.map(|w| w as u32))
}

/// Whether the probe runs under the monitor, and not on plain firmware or an emulator's.
pub fn is_there() -> bool {
    uid() == Some(UID_WORDS)
}
