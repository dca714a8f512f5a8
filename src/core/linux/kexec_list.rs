// SPDX-License-Identifier: Apache-2.0
//! Walks the list of pages that a kexec moves.
//!
//! The list lies in pages of 64-bit entries, each an address with a flag: a destination, a source
//! that is copied there and moves the destination on by a page, the next page of the list, or the
//! end (Linux `include/linux/kexec.h`, `arch/arm64/kernel/relocate_kernel.S`).

use super::ranges::Ranges;
use crate::memory::guest_memory::GuestMemory;
use baton_abi::{IND_DESTINATION, IND_DONE, IND_INDIRECTION, IND_SOURCE};
use thiserror::Error;

/// The bits of an entry that can be flags, whatever the page.
const FLAGS: u64 = 0xf;
/// Entries in a row that may do without a source. Linux has three: a link, a destination, and none.
const MAX_IDLE: u32 = 64;

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// None of the flags, or more than one.
    #[error("unknown flags")]
    Flags,
    /// The address is not a multiple of the page.
    #[error("address not aligned to a page")]
    Unaligned,
    /// The list does not begin with a link to its first page.
    #[error("not a link to a list")]
    Head,
    /// A page of the list is not in guest memory.
    #[error("list outside guest memory")]
    ListOutside,
    /// A page of the list lies where something is copied to.
    #[error("list inside a destination")]
    ListOverwritten,
    /// The last entry of a page of the list is no link.
    #[error("list runs off its page")]
    RunsOff,
    /// The list leads back into itself.
    #[error("list is a loop")]
    Loop,
    /// Too many entries without a source.
    #[error("list goes on without pages")]
    Idle,
    /// More pages than the guest has memory.
    #[error("list has no end")]
    Endless,
    /// A source before any destination.
    #[error("source without a destination")]
    NoDestination,
    /// A source is not in guest memory.
    #[error("source outside guest memory")]
    SourceOutside,
    /// A source lies in the destination of another one.
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
    /// The destinations lie too scattered.
    #[error("too many separate destinations")]
    TooScattered,
    /// The list is another one than it was when it was checked.
    #[error("list has changed")]
    Changed,
}

impl Fault {
    /// Whether it is an address that is not the guest's.
    pub const fn is_address(self) -> bool {
        matches!(
            self,
            Self::ListOutside | Self::SourceOutside | Self::DestinationOutside
        )
    }
}

/// An entry of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 0 on, counted along the list.
    pub index: u64,
    /// Where it stands.
    pub at: u64,
    /// What it says.
    pub value: u64,
}

/// An entry that is wrong, and in what way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{fault}: entry {} at {:#x} is {:#x}", .entry.index, .entry.at, .entry.value)]
pub struct ListError {
    /// What is wrong.
    pub fault: Fault,
    /// The entry.
    pub entry: Entry,
}

/// A page to copy, as the list says; of its addresses only the alignment is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedPage {
    /// Where it is.
    pub source: u64,
    /// Where it goes.
    pub destination: u64,
}

/// A place in the list, before an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Where the next entry stands.
    pub at: u64,
    /// Its number.
    pub index: u64,
    /// Where the next source goes.
    pub destination: u64,
}

/// Where a list begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListStart {
    /// An entry by itself that links to the first page, or is the end.
    Head {
        /// Where it stands.
        at: u64,
        /// What it says.
        value: u64,
    },
    /// The first page of the list.
    Page(u64),
}

/// Walks the list, and ends on any list: it notices loops, and stretches without a source.
pub struct Walker<'a, M> {
    memory: &'a M,
    page: u64,
    /// Where no page of the list may lie.
    destinations: &'a Ranges,
    /// Where the next entry stands; `None` at the end of a page.
    at: Option<u64>,
    index: u64,
    destination: Option<u64>,
    idle: u32,
    cycle: Cycle,
    last: Entry,
    done: bool,
}

impl<'a, M: GuestMemory> Walker<'a, M> {
    /// Walks from the start of a list. `page` is the page size in bytes, a power of two.
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
                match self.split(value)? {
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

    /// Walks on from a place where a walk over the same list has been.
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

    /// The next page to copy, or `None` at the end of the list.
    ///
    /// Nearly all entries are sources, and they are walked while the machine is away: their way is
    /// short, and an error is put together by [`Walker::error`] only when there is one.
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
                self.turn()?;
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

    /// Does what the entry read last says, which is not to copy a page.
    #[inline(never)]
    fn turn(&mut self) -> Result<(), Fault> {
        match self.split(self.last.value)? {
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

    /// An entry's address and its one flag.
    fn split(&self, value: u64) -> Result<(u64, u64), Fault> {
        let flag = value & FLAGS;
        if !flag.is_power_of_two() {
            return Err(Fault::Flags);
        }
        if value & (self.page - 1) != flag {
            return Err(Fault::Unaligned);
        }
        Ok((value - flag, flag))
    }

    /// Goes to another page of the list.
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

    /// The entry read last.
    #[inline]
    pub fn entry(&self) -> Entry {
        self.last
    }

    /// The error that the entry read last has that fault.
    #[cold]
    pub fn error(&self, fault: Fault) -> ListError {
        ListError {
            fault,
            entry: self.last,
        }
    }
}

/// Notices that a walk comes to an address again, by remembering one address for twice as long each
/// time (Brent's algorithm).
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
