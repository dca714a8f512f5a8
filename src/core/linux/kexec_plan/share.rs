// SPDX-License-Identifier: Apache-2.0
//! One CPU's part of a plan.

use super::Plan;
use crate::linux::kexec_list::{Entry, Fault, ListError, ListedPage, Walker};
use crate::linux::ranges::Range;
use crate::memory::guest_memory::GuestMemory;

/// What to do for one page. The addresses are physical, and in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// Physical address of the page.
    pub source: u64,
    /// Physical address that it is copied to.
    pub destination: u64,
    /// How many bytes to copy, from the start of the page on.
    pub copied: u64,
    /// How many bytes to fill with zeroes behind them. Both together are a page.
    pub zeroed: u64,
}

impl Op {
    /// Returns whether the page is in place, and has only to be cleaned to the point of coherency.
    pub const fn is_in_place(&self) -> bool {
        self.source == self.destination
    }
}

/// One CPU's pages, in the order of the list.
///
/// The list is read again from guest memory, which no vCPU can write since it was checked. Should a device
/// have written it, whoever copies must know guest memory from other memory. After an error there are no
/// more pages.
pub struct Share<'a, M> {
    plan: &'a Plan,
    walker: Option<Walker<'a, M>>,
    /// How many pages of other CPUs the walker still has to pass.
    pub(super) skipped: u64,
    /// How many pages of the list are left.
    listed: u64,
    /// Which pages of the segments that are in place are left, by their numbers.
    in_place: Range,
}

impl Plan {
    /// Returns what to do for a page of the list.
    #[inline]
    fn op(&self, listed: &ListedPage) -> Op {
        let page = self.page.bytes();
        let ListedPage {
            source,
            destination,
        } = *listed;
        let Range { start, end } = self.zeroes;
        let copied = if source != destination && destination < end && start < destination + page {
            start.saturating_sub(destination)
        } else {
            page
        };
        Op {
            source,
            destination,
            copied,
            zeroed: page - copied,
        }
    }
}

impl<'a, M: GuestMemory> Share<'a, M> {
    /// Returns the pages of a range of numbers: the pages of the list are numbered first, then those that
    /// are in place.
    pub(super) fn new(plan: &'a Plan, memory: &'a M, range: Range) -> Self {
        let Range { start: first, end } = range;
        let listed = end.min(plan.listed).saturating_sub(first);
        let place = if listed > 0 {
            plan.place_before(memory, first)
        } else {
            None
        };
        Self {
            plan,
            walker: place.map(|(place, _)| {
                Walker::resume(memory, plan.page.bytes(), place, &plan.destinations)
            }),
            skipped: place.map_or(0, |(_, number)| first - number),
            listed,
            in_place: Range {
                start: first.max(plan.listed) - plan.listed,
                end: end.max(plan.listed) - plan.listed,
            },
        }
    }

    /// Returns how many pages are left.
    pub const fn pages(&self) -> u64 {
        self.listed + (self.in_place.end - self.in_place.start)
    }

    /// Returns the next page of the list.
    #[inline]
    fn next_listed(&mut self) -> Result<Op, ListError> {
        let Some(walker) = self.walker.as_mut() else {
            return Err(Fault::Changed.at(Entry::default()));
        };
        loop {
            match walker.next_page() {
                Ok(Some(listed)) if self.skipped == 0 => return Ok(self.plan.op(&listed)),
                Ok(Some(_)) => self.skipped -= 1,
                Ok(None) => return Err(walker.error(Fault::Changed)),
                Err(fault) => return Err(walker.error(fault)),
            }
        }
    }

    /// Returns page `number` of the segments that are in place.
    fn page_in_place(&self, mut number: u64) -> Option<Op> {
        let page = self.plan.page;
        for segment in self.plan.segments.in_place() {
            let pages = page.pages(segment.size);
            if number < pages {
                let address = segment.start + number * page.bytes();
                return Some(Op {
                    source: address,
                    destination: address,
                    copied: page.bytes(),
                    zeroed: 0,
                });
            }
            number -= pages;
        }
        None
    }
}

impl<M: GuestMemory> Iterator for Share<'_, M> {
    type Item = Result<Op, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.listed > 0 {
            let op = self.next_listed();
            match op {
                Ok(_) => self.listed -= 1,
                Err(_) => (self.listed, self.in_place) = (0, Range::default()),
            }
            return Some(op);
        }
        if self.in_place.start >= self.in_place.end {
            return None;
        }
        let op = self.page_in_place(self.in_place.start)?;
        self.in_place.start += 1;
        Some(Ok(op))
    }
}
