// SPDX-License-Identifier: Apache-2.0
//! A guest's memory in two parts, the monitor between them.

use crate::input::Input;
use baton_core::memory::guest_memory::GuestMemory;
use std::collections::HashMap;

/// Pages that an input can name.
pub const PAGES: u64 = 256;

/// Memory of [`PAGES`] pages; those that are not RAM are the monitor's, or nobody's.
#[derive(Clone, Debug)]
pub struct Memory {
    page: u64,
    start: u64,
    words: HashMap<u64, u64>,
}

impl Memory {
    /// Memory of zeroes with pages of `page` bytes, the first of them at `start`.
    pub fn new(page: u64, start: u64) -> Self {
        Self {
            page,
            start,
            words: HashMap::new(),
        }
    }

    /// Whether page `number` is RAM.
    pub const fn is_ram(number: u64) -> bool {
        matches!(number, 8..120 | 128..248)
    }

    /// How many pages are RAM.
    pub fn pages() -> u64 {
        (0..PAGES).filter(|number| Self::is_ram(*number)).count() as u64
    }

    /// The address of page `number`.
    pub const fn address(&self, number: u64) -> u64 {
        self.start.wrapping_add(number.wrapping_mul(self.page))
    }

    /// Writes a word where there is RAM.
    pub fn write(&mut self, address: u64, value: u64) {
        let address = address & !7;
        if self.contains(address, 8) {
            self.words.insert(address, value);
        }
    }

    /// An address near a page that `input` names, or any.
    pub fn pick(&self, input: &mut Input<'_>) -> u64 {
        let number = input.u8();
        if number == 0xff {
            input.edge()
        } else {
            self.address(number.into())
        }
    }
}

impl GuestMemory for Memory {
    fn read_u64(&self, address: u64) -> Option<u64> {
        assert!(
            address.is_multiple_of(8),
            "an unaligned read at {address:#x}"
        );
        self.contains(address, 8)
            .then(|| self.words.get(&address).copied().unwrap_or(0))
    }

    fn contains(&self, start: u64, size: u64) -> bool {
        let Some(end) = start.checked_add(size) else {
            return false;
        };
        [(8, 120), (128, 248)]
            .into_iter()
            .any(|(first, behind)| self.address(first) <= start && end <= self.address(behind))
    }
}
