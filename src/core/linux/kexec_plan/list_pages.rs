// SPDX-License-Identifier: Apache-2.0
//! The pages of a list as Linux makes it (`kimage_add_entry()` in `kernel/kexec_core.c`): each is full,
//! and its last entry links to the next one.
//!
//! A *position* numbers the entries without those links, from 0. The last entry of the last page has one
//! too: it can be the end of the list.

use super::spaced::Spaced;
use crate::linux::kexec_list::{Entry, Place};
use crate::linux::ranges::{Around, Ranges};
use crate::memory::guest_memory::GuestMemory;
use baton_abi::IND_INDIRECTION;

/// How many pages' addresses are kept. Linux has 18 for 34 MiB, and 548 for 1.1 GiB.
const MAX_KNOWN: usize = 256;

/// The pages of a list. Which of their entries belong to it is not known yet: behind its end there may be
/// anything, a link of an earlier list too.
#[derive(Debug)]
pub struct ListPages {
    /// Size of a page in bytes.
    page: u64,
    /// The number of the first page's first entry along the list.
    first_entry: u64,
    count: u64,
    /// The addresses of some of them.
    known: Spaced<u64, MAX_KNOWN>,
}

/// Entries that follow each other in a page.
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    /// The first one, whose value has not been read.
    first: Entry,
    /// How many there are.
    pub count: u64,
}

impl Chunk {
    /// Returns the physical address of entry `number` of it.
    #[inline]
    pub const fn at(&self, number: u64) -> u64 {
        self.first.at + 8 * number
    }

    /// Returns entry `number` of it, whose value is `value`.
    pub const fn entry(&self, number: u64, value: u64) -> Entry {
        Entry {
            index: self.first.index + number,
            at: self.at(number),
            value,
        }
    }
}

/// A place between entries, which goes forward.
pub struct Cursor<'a> {
    pages: &'a ListPages,
    /// Number and address of its page.
    number: u64,
    address: u64,
    /// Number of the next entry in the page.
    slot: u64,
}

impl ListPages {
    /// Returns no pages.
    pub const fn new() -> Self {
        Self {
            page: 1 << 12,
            first_entry: 0,
            count: 0,
            known: Spaced::new(0),
        }
    }

    /// Finds the pages from `first` on, which is in guest memory and not in `destinations`. They end where
    /// the last entry is no link to such a page, or when there is room for `entries` entries. `page` is the
    /// page size in bytes, `first_entry` the number of the first page's first entry.
    pub fn find(
        &mut self,
        memory: &impl GuestMemory,
        page: u64,
        (first, first_entry): (u64, u64),
        entries: u64,
        destinations: &Ranges,
    ) {
        (self.page, self.first_entry) = (page, first_entry);
        self.count = 0;
        let most = entries / self.per_page() + 1;
        let mut around = Around::default();
        let mut address = first;
        loop {
            self.known.keep(self.count, address);
            self.count += 1;
            if self.count == most {
                return;
            }
            match memory.read_u64(address + (page - 8)) {
                Some(link) if link & (page - 1) == IND_INDIRECTION => {
                    address = link - IND_INDIRECTION;
                }
                _ => return,
            }
            if !memory.contains(address, page) || around.is_in(destinations, address) {
                return;
            }
        }
    }

    /// Removes all pages.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Returns how many entries of a page have a position, if it is not the last one.
    const fn per_page(&self) -> u64 {
        self.page / 8 - 1
    }

    /// Returns how many positions there are.
    pub const fn positions(&self) -> u64 {
        match self.count {
            0 => 0,
            count => count * self.per_page() + 1,
        }
    }

    /// Returns a cursor at `position`; `None` if there is no such position, or no memory on the way to it.
    pub fn cursor(&self, memory: &impl GuestMemory, position: u64) -> Option<Cursor<'_>> {
        let number = (position / self.per_page()).min(self.count.checked_sub(1)?);
        let slot = position - number * self.per_page();
        if slot > self.per_page() {
            return None;
        }
        let (address, known) = self.known.before(number)?;
        let mut cursor = Cursor {
            pages: self,
            number: known,
            address,
            slot,
        };
        while cursor.number < number {
            cursor.follow_link(memory)?;
        }
        Some(cursor)
    }

    /// Returns the place of the source at `position`, which is copied to `destination`.
    pub fn place(
        &self,
        memory: &impl GuestMemory,
        position: u64,
        destination: u64,
    ) -> Option<Place> {
        let mut cursor = self.cursor(memory, position)?;
        Some(cursor.take(1).first.place(destination))
    }

    /// Returns whether none of the pages is in `destinations`.
    pub fn are_outside(&self, memory: &impl GuestMemory, destinations: &Ranges) -> bool {
        let Some(mut cursor) = self.cursor(memory, 0) else {
            return self.count == 0;
        };
        let mut around = Around::default();
        loop {
            if around.is_in(destinations, cursor.address) {
                return false;
            }
            if cursor.number + 1 == self.count {
                return true;
            }
            if cursor.follow_link(memory).is_none() {
                return false;
            }
        }
    }
}

impl Cursor<'_> {
    /// Passes the next entries that are in this page, `most` at most, and returns them.
    pub fn take(&mut self, most: u64) -> Chunk {
        let per_page = self.pages.per_page();
        let is_last = self.number + 1 == self.pages.count;
        let first = Entry {
            index: self.pages.first_entry + self.number * (per_page + 1) + self.slot,
            at: self.address + 8 * self.slot,
            value: 0,
        };
        let behind = per_page + u64::from(is_last);
        let count = behind.saturating_sub(self.slot).min(most);
        self.slot += count;
        Chunk { first, count }
    }

    /// Goes to the start of the next page; `None` if there is none, or no memory.
    pub fn turn(&mut self, memory: &impl GuestMemory) -> Option<()> {
        if self.number + 1 >= self.pages.count {
            return None;
        }
        self.follow_link(memory)?;
        self.slot = 0;
        Some(())
    }

    fn follow_link(&mut self, memory: &impl GuestMemory) -> Option<()> {
        let page = self.pages.page;
        let link = memory.read_u64(self.address + (page - 8))?;
        (self.number, self.address) = (self.number + 1, link & !(page - 1));
        Some(())
    }
}
