// SPDX-License-Identifier: Apache-2.0
//! What an SMMU reads in the place of the guest's stream table and command queue.

use crate::arch::barrier;
use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use baton_core::smmu::command::Command;
use baton_core::smmu::entry::{Entry, is_open};
use baton_core::smmu::{QUEUE_BITS, SPLIT, STREAM_BITS};
use core::ptr::NonNull;
use core::slice;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
use thiserror::Error;

/// Bytes of all of it, at a multiple of that.
pub const SIZE: usize = 128 << 10;
/// Streams whose entries are a page, which is given to them as soon as one of them is let through.
const GROUP: usize = 1 << SPLIT;
/// Words of an entry, of a page, and of the queue and the first level, which are what it begins with.
const ENTRY: usize = 8;
const PAGE: usize = GROUP * ENTRY;
const QUEUE: usize = 2 << QUEUE_BITS;
const FIRST_LEVEL: usize = 1 << (STREAM_BITS - SPLIT);
const PAGES_AT: usize = QUEUE + FIRST_LEVEL;
/// How many pages there are. The first is that of all streams while nobody has set the SMMU up, and of all there
/// are where the table has one level.
const PAGES: usize = (SIZE / 8 - PAGES_AT) / PAGE;
/// How many groups of streams can be let through at a time.
pub const GROUPS: usize = PAGES - 1;

/// A descriptor of the first level: a page of entries follows, which is two to the power of this less one; its address.
const SPAN: u64 = SPLIT as u64 + 1;
const ADDRESS: u64 = !0xfff;
/// STRTAB_BASE: a hint about caches. STRTAB_BASE_CFG: two levels, and how a stream ID is split.
const HINT: u64 = 1 << 62;
const TWO_LEVELS: u32 = 1 << 16 | SPLIT << 6;

/// All pages of entries are taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("no more than {GROUPS} groups of {GROUP} streams can be let through")]
pub struct Full;

/// The memory that an SMMU reads.
pub struct Shadow {
    words: NonNull<AtomicU64>,
    two_levels: bool,
    /// Bits of a stream ID.
    bits: u32,
    /// Pages that are given to streams, with the first.
    taken: usize,
}

// SAFETY: It owns what it points to, whose words are atomic.
unsafe impl Send for Shadow {}

impl Shadow {
    /// Returns one for stream IDs of so many bits; `None` if there is no memory for it.
    pub fn new(two_levels: bool, bits: u32) -> Option<Self> {
        // SAFETY: It has a size.
        let words = NonNull::new(unsafe { alloc_zeroed(Self::layout()) })?;
        Some(Self {
            words: words.cast(),
            two_levels,
            bits,
            taken: 1,
        })
    }

    fn layout() -> Layout {
        Layout::from_size_align(SIZE, SIZE).expect("a power of two")
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: They were allocated, are zeroed, and atomic: the SMMU reads them meanwhile.
        unsafe { slice::from_raw_parts(self.words.as_ptr(), SIZE / 8) }
    }

    fn address(&self, word: usize) -> u64 {
        (&raw const self.words()[word]).expose_provenance() as u64
    }

    /// Returns the physical address of the queue.
    pub fn queue(&self) -> u64 {
        self.address(0)
    }

    /// Returns STRTAB_BASE and STRTAB_BASE_CFG.
    pub fn table(&self) -> (u64, u32) {
        match self.two_levels {
            true => (HINT | self.address(QUEUE), TWO_LEVELS | self.bits),
            false => (HINT | self.address(PAGES_AT), self.bits),
        }
    }

    /// Returns the places of the queue.
    #[inline]
    pub fn places(&self) -> Places<'_> {
        Places(&self.words()[..QUEUE])
    }

    /// Gives all streams one entry. To be called while the SMMU looks at none.
    pub fn fill(&mut self, entry: &Entry) {
        self.taken = 1;
        self.fill_page(0, entry);
        let descriptor = if is_open(entry[0]) {
            self.descriptor(0)
        } else {
            0
        };
        for word in &self.words()[QUEUE..PAGES_AT] {
            word.store(descriptor, Relaxed);
        }
    }

    /// Returns whether `stream`, or one of its group, may have been let through.
    pub fn has(&self, stream: u32) -> bool {
        self.page_of(stream).is_some()
    }

    /// Gives one stream an entry, in front of the others in its group `none` if it is the first to be let through.
    /// The SMMU may read it at any time; it is to be told of it later. One beyond all is none.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no page for it: then it is not let through.
    pub fn set(&mut self, stream: u32, entry: &Entry, none: &Entry) -> Result<(), Full> {
        if stream >> self.bits != 0 {
            return Ok(());
        }
        let page = match self.page_of(stream) {
            Some(page) => page,
            None if is_open(entry[0]) => self.take(stream, none)?,
            None => return Ok(()),
        };
        self.store(page + stream as usize % GROUP * ENTRY, entry);
        Ok(())
    }

    /// Returns the word at which the entries of the group of `stream` begin.
    fn page_of(&self, stream: u32) -> Option<usize> {
        if !self.two_levels {
            return Some(PAGES_AT);
        }
        let descriptor = self.words()[self.first_level(stream)].load(Relaxed);
        let offset = (descriptor & ADDRESS).checked_sub(self.address(0))?;
        Some(offset as usize / 8)
    }

    fn first_level(&self, stream: u32) -> usize {
        QUEUE + (stream >> SPLIT) as usize % FIRST_LEVEL
    }

    fn take(&mut self, stream: u32, none: &Entry) -> Result<usize, Full> {
        let page = self.taken;
        if page == PAGES {
            return Err(Full);
        }
        self.taken += 1;
        self.fill_page(page, none);
        // The page is there before it is led to.
        barrier::dsb_ishst();
        self.words()[self.first_level(stream)].store(self.descriptor(page), Relaxed);
        Ok(PAGES_AT + page * PAGE)
    }

    fn descriptor(&self, page: usize) -> u64 {
        self.address(PAGES_AT + page * PAGE) | SPAN
    }

    fn fill_page(&self, page: usize, entry: &Entry) {
        for place in 0..GROUP {
            self.store(PAGES_AT + page * PAGE + place * ENTRY, entry);
        }
    }

    /// The first word, which makes an entry valid, comes last.
    fn store(&self, at: usize, entry: &Entry) {
        let words = &self.words()[at..][..ENTRY];
        for (word, value) in words.iter().zip(entry).skip(1) {
            word.store(*value, Relaxed);
        }
        barrier::dsb_ishst();
        words[0].store(entry[0], Relaxed);
    }
}

/// The places of the queue.
pub struct Places<'a>(&'a [AtomicU64]);

impl Places<'_> {
    /// Stores a command at an index.
    #[inline(always)]
    pub fn put(&self, index: u32, [first, second]: Command) {
        let place = 2 * index as usize % QUEUE;
        self.0[place].store(first, Relaxed);
        self.0[place + 1].store(second, Relaxed);
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        // SAFETY: `new` allocated it so.
        unsafe { dealloc(self.words.as_ptr().cast(), Self::layout()) }
    }
}

#[cfg(test)]
mod tests;
