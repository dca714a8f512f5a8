// SPDX-License-Identifier: Apache-2.0
//! A guest's memory in two parts, with the monitor between them.

use crate::input::Input;
use baton_core::memory::guest_memory::GuestMemory;
use std::collections::HashMap;

/// How many pages an input can name.
pub const PAGES: u64 = 256;

/// Memory of [`PAGES`] pages; those that are not RAM are the monitor's, or nobody's.
#[derive(Clone, Debug)]
pub struct Memory {
    page: u64,
    start: u64,
    words: HashMap<u64, u64>,
}

impl Memory {
    /// Returns memory of zeroes with pages of `page` bytes, the first of them at `start`.
    pub fn new(page: u64, start: u64) -> Self {
        Self {
            page,
            start,
            words: HashMap::new(),
        }
    }

    /// Returns whether page `number` is RAM.
    pub const fn is_ram(number: u64) -> bool {
        matches!(number, 8..120 | 128..248)
    }

    /// Returns how many pages are RAM.
    pub fn pages() -> u64 {
        (0..PAGES).filter(|number| Self::is_ram(*number)).count() as u64
    }

    /// Returns the address of page `number`.
    pub const fn address(&self, number: u64) -> u64 {
        self.start.wrapping_add(number.wrapping_mul(self.page))
    }

    /// Writes an aligned word, if there is RAM.
    pub fn write(&mut self, address: u64, value: u64) {
        let address = address & !7;
        if self.contains(address, 8) {
            self.words.insert(address, value);
        }
    }

    /// Returns the address of a page that `input` names, or any address.
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
