// SPDX-License-Identifier: Apache-2.0
//! Walks the list of pages that a kexec copies.
//!
//! The list is in pages of 64-bit entries, each an address with a flag: a destination; a source,
//! which is copied there, and after which the destination is a page further; the next page of the
//! list; or the end (Linux `include/linux/kexec.h`, `arch/arm64/kernel/relocate_kernel.S`).

use super::ranges::Ranges;
use crate::memory::guest_memory::GuestMemory;
use baton_abi::{IND_DESTINATION, IND_DONE, IND_INDIRECTION, IND_SOURCE};
use thiserror::Error;

/// The bits of an entry that can be flags, whatever the page size.
const FLAGS: u64 = 0xf;
/// How many entries in a row may be other than sources. Linux has three at most: a link, a
/// destination, and the end.
const MAX_IDLE: u32 = 64;

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The entry has none of the flags, or more than one.
    #[error("unknown flags")]
    Flags,
    /// The address is not a multiple of the page size.
    #[error("address not aligned to a page")]
    Unaligned,
    /// The list does not begin with a link to its first page.
    #[error("not a link to a list")]
    Head,
    /// A page of the list is not in guest memory.
    #[error("list outside guest memory")]
    ListOutside,
    /// A page of the list is in a destination, and would be overwritten.
    #[error("list inside a destination")]
    ListOverwritten,
    /// The last entry of a page of the list is neither a link nor the end.
    #[error("list runs off its page")]
    RunsOff,
    /// The list leads back into itself.
    #[error("list is a loop")]
    Loop,
    /// There are too many entries in a row without a source.
    #[error("list goes on without pages")]
    Idle,
    /// The list has more sources than the guest has pages.
    #[error("list has no end")]
    Endless,
    /// A source comes before any destination.
    #[error("source without a destination")]
    NoDestination,
    /// A source is not in guest memory.
    #[error("source outside guest memory")]
    SourceOutside,
    /// A source is in the destination of another one, and would be overwritten.
    #[error("source inside a destination")]
    SourceOverwritten,
    /// A destination is not in guest memory.
    #[error("destination outside guest memory")]
    DestinationOutside,
    /// A destination is in no segment, or reaches beyond its end.
    #[error("destination outside the segments")]
    OutsideSegments,
    /// Two sources have the same destination.
    #[error("destination given twice")]
    DestinationTwice,
    /// The destinations are more separate ranges than a plan can hold.
    #[error("too many separate destinations")]
    TooScattered,
    /// The list is not as it was when it was checked: no vCPU can have written it, but a device can.
    #[error("list has changed")]
    Changed,
}

impl Fault {
    /// Returns whether the fault is an address outside guest memory.
    pub const fn is_address(self) -> bool {
        matches!(
            self,
            Self::ListOutside | Self::SourceOutside | Self::DestinationOutside
        )
    }

    /// Returns whether an entry has the fault wherever a walk began: others are found by what was before it.
    pub const fn is_of_entry(self) -> bool {
        !matches!(
            self,
            Self::Loop | Self::Idle | Self::Endless | Self::DestinationTwice | Self::Changed
        )
    }

    /// Returns the error that `entry` has this fault.
    #[cold]
    pub const fn at(self, entry: Entry) -> ListError {
        ListError { fault: self, entry }
    }
}

/// An entry of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its number along the list, counted from 0.
    pub index: u64,
    /// Its physical address.
    pub at: u64,
    /// Its value.
    pub value: u64,
}

impl Entry {
    /// Returns this as the place of the source for `destination`.
    pub const fn place(&self, destination: u64) -> Place {
        Place {
            at: self.at,
            index: self.index,
            destination,
        }
    }
}

/// An entry that is wrong, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{fault}: entry {} at {:#x} is {:#x}", .entry.index, .entry.at, .entry.value)]
pub struct ListError {
    /// What is wrong.
    pub fault: Fault,
    /// The entry.
    pub entry: Entry,
}

/// A page to copy, as the list has it: only the alignment of its addresses has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedPage {
    /// Physical address of the page.
    pub source: u64,
    /// Physical address that it is copied to.
    pub destination: u64,
}

/// A place in the list, from which a walk can be resumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Physical address of the next entry.
    pub at: u64,
    /// Its number.
    pub index: u64,
    /// Where the next source is copied to.
    pub destination: u64,
}

/// Where a list begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListStart {
    /// An entry by itself, which links to the first page or is the end: `kimage.head`.
    Head {
        /// Its physical address.
        at: u64,
        /// Its value.
        value: u64,
    },
    /// The first page of the list, by its physical address.
    Page(u64),
}

/// Splits an entry into its address, a multiple of the page size, and its one flag.
///
/// # Errors
///
/// Returns the [`Fault`] of an entry that is none.
pub fn split(value: u64, page: u64) -> Result<(u64, u64), Fault> {
    let flag = value & FLAGS;
    if !flag.is_power_of_two() {
        return Err(Fault::Flags);
    }
    if value & (page - 1) != flag {
        return Err(Fault::Unaligned);
    }
    Ok((value - flag, flag))
}

/// A walk over a list. It ends on any list: it notices loops, and stretches without a source.
pub struct Walker<'a, M> {
    memory: &'a M,
    page: u64,
    /// Where no page of the list may be.
    destinations: &'a Ranges,
    /// Where the next entry is; `None` at the end of a page.
    at: Option<u64>,
    index: u64,
    destination: Option<u64>,
    idle: u32,
    cycle: Cycle,
    last: Entry,
    done: bool,
}

impl<'a, M: GuestMemory> Walker<'a, M> {
    /// Begins a walk at the start of a list. `page` is the page size in bytes, a power of two. A
    /// page of the list in `destinations` is an error.
    ///
    /// # Errors
    ///
    /// Returns [`ListError`] if the list has no first page that can be walked.
    pub fn start(
        memory: &'a M,
        page: u64,
        start: ListStart,
        destinations: &'a Ranges,
    ) -> Result<Self, ListError> {
        let mut walker = Self::at(memory, page, None, None, 0, destinations);
        walker
            .begin(start)
            .map_err(|fault| walker.error(fault))
            .map(|()| walker)
    }

    fn begin(&mut self, start: ListStart) -> Result<(), Fault> {
        match start {
            ListStart::Head { at, value } => {
                self.last = Entry {
                    index: 0,
                    at,
                    value,
                };
                self.index = 1;
                match split(value, self.page)? {
                    (address, IND_INDIRECTION) => self.follow(address),
                    (_, IND_DONE) => {
                        self.done = true;
                        Ok(())
                    }
                    _ => Err(Fault::Head),
                }
            }
            ListStart::Page(address) => {
                self.last = Entry {
                    index: 0,
                    at: address,
                    value: address,
                };
                if !address.is_multiple_of(self.page) {
                    return Err(Fault::Unaligned);
                }
                self.follow(address)
            }
        }
    }

    /// Resumes a walk at a place where another walk over the same list has been.
    pub fn resume(memory: &'a M, page: u64, place: Place, destinations: &'a Ranges) -> Self {
        Self::at(
            memory,
            page,
            Some(place.at),
            Some(place.destination),
            place.index,
            destinations,
        )
    }

    fn at(
        memory: &'a M,
        page: u64,
        at: Option<u64>,
        destination: Option<u64>,
        index: u64,
        destinations: &'a Ranges,
    ) -> Self {
        let last = Entry {
            index,
            at: at.unwrap_or(0),
            value: 0,
        };
        Self {
            memory,
            page,
            destinations,
            at,
            index,
            destination,
            idle: 0,
            cycle: Cycle::new(),
            last,
            done: false,
        }
    }

    /// Returns the next page to copy, or `None` at the end of the list.
    ///
    /// Nearly all entries are sources, and the guest stands still while they are walked: so their path is
    /// short, and only [`Walker::error`] makes an error of a fault.
    ///
    /// # Errors
    ///
    /// Returns the [`Fault`] of the entry that was read last.
    #[inline(always)]
    pub fn next_page(&mut self) -> Result<Option<ListedPage>, Fault> {
        while !self.done {
            let at = self.at.ok_or(Fault::RunsOff)?;
            let value = self.memory.read_u64(at).ok_or(Fault::ListOutside)?;
            self.last = Entry {
                index: self.index,
                at,
                value,
            };
            self.at = at
                .checked_add(8)
                .filter(|behind| behind & (self.page - 1) != 0);
            self.index += 1;
            if value & (self.page - 1) != IND_SOURCE {
                self.follow_entry()?;
                continue;
            }
            let destination = self.destination.ok_or(Fault::NoDestination)?;
            let next = destination.checked_add(self.page);
            self.destination = Some(next.ok_or(Fault::DestinationOutside)?);
            self.idle = 0;
            return Ok(Some(ListedPage {
                source: value - IND_SOURCE,
                destination,
            }));
        }
        Ok(None)
    }

    /// Does what the entry that was read last says: it is not a source.
    #[inline(never)]
    fn follow_entry(&mut self) -> Result<(), Fault> {
        match split(self.last.value, self.page)? {
            (address, IND_DESTINATION) => self.destination = Some(address),
            (address, IND_INDIRECTION) => self.follow(address)?,
            _ => self.done = true,
        }
        self.idle += 1;
        if self.idle == MAX_IDLE {
            return Err(Fault::Idle);
        }
        Ok(())
    }

    /// Goes on at another page of the list.
    fn follow(&mut self, address: u64) -> Result<(), Fault> {
        if !self.memory.contains(address, self.page) {
            return Err(Fault::ListOutside);
        }
        if self.destinations.hold(address) {
            return Err(Fault::ListOverwritten);
        }
        if self.cycle.closes(address) {
            return Err(Fault::Loop);
        }
        self.at = Some(address);
        Ok(())
    }

    /// Returns address and number of the next entry, or `None` at the end of the list.
    pub fn next_entry(&self) -> Option<(u64, u64)> {
        let at = self.at.filter(|_| !self.done)?;
        Some((at, self.index))
    }

    /// Returns the entry that was read last.
    #[inline]
    pub fn entry(&self) -> Entry {
        self.last
    }

    /// Returns the error that the entry that was read last has this fault.
    #[cold]
    pub fn error(&self, fault: Fault) -> ListError {
        fault.at(self.last)
    }
}

/// Notices when a walk returns to a page, by remembering one page for twice as long each time
/// (Brent's algorithm).
struct Cycle {
    remembered: Option<u64>,
    steps: u64,
    patience: u64,
}

impl Cycle {
    const fn new() -> Self {
        Self {
            remembered: None,
            steps: 0,
            patience: 1,
        }
    }

    /// Returns whether the walk has been at `address`, where it is now.
    fn closes(&mut self, address: u64) -> bool {
        if self.remembered == Some(address) {
            return true;
        }
        self.steps += 1;
        if self.steps == self.patience {
            (self.remembered, self.steps, self.patience) =
                (Some(address), 0, self.patience.saturating_mul(2));
        }
        false
    }
}
