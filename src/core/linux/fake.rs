// SPDX-License-Identifier: Apache-2.0
//! Guest memory for tests.

use crate::memory::guest_memory::GuestMemory;
use crate::tee::message::WritableMemory;
use std::cell::RefCell;
use std::collections::HashMap;

/// RAM with the monitor's memory in the middle of it. Words that no test has written are 0.
pub struct Ram {
    words: RefCell<HashMap<u64, u64>>,
    start: u64,
}

impl Ram {
    /// The first byte of RAM.
    pub const START: u64 = 0x4000_0000;
    /// The monitor's first byte, behind the lower part of RAM.
    pub const MONITOR: u64 = 0xa000_0000;
    /// The first byte of the upper part, behind the monitor.
    pub const UPPER: u64 = 0xa080_0000;
    /// The end of RAM.
    pub const END: u64 = 0x1_0000_0000;

    /// Returns RAM of zeroes.
    pub fn new() -> Self {
        Self {
            words: RefCell::default(),
            start: Self::START,
        }
    }

    /// Returns RAM of zeroes whose lower part begins at address 0, as on most boards.
    pub fn from_zero() -> Self {
        Self {
            start: 0,
            ..Self::new()
        }
    }

    /// Writes an aligned word.
    pub fn write(&self, address: u64, value: u64) {
        assert!(
            self.contains(address, 8) && address.is_multiple_of(8),
            "a test wrote to {address:#x}"
        );
        self.words.borrow_mut().insert(address, value);
    }
}

impl GuestMemory for Ram {
    fn read_u64(&self, address: u64) -> Option<u64> {
        assert!(
            address.is_multiple_of(8),
            "an unaligned read at {address:#x}"
        );
        self.contains(address, 8)
            .then(|| self.words.borrow().get(&address).copied().unwrap_or(0))
    }

    fn contains(&self, start: u64, size: u64) -> bool {
        let Some(end) = start.checked_add(size) else {
            return false;
        };
        (self.start <= start && end <= Self::MONITOR) || (Self::UPPER <= start && end <= Self::END)
    }
}

impl WritableMemory for Ram {
    fn write_u64(&self, address: u64, value: u64) {
        self.write(address, value);
    }
}
