// SPDX-License-Identifier: Apache-2.0
//! One CPU's part of a plan.

use super::Plan;
use crate::linux::kexec_list::{Fault, ListError, ListedPage, Walker};
use crate::linux::ranges::{Around, Range};
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
/// The list is read again from guest memory, and each address checked again: it may have been
/// changed since the dry run. After an error there are no more pages.
pub struct Share<'a, M> {
    plan: &'a Plan,
    memory: &'a M,
    walker: Option<Walker<'a, M>>,
    /// How many pages of other CPUs the walker still has to pass.
    pub(super) skipped: u64,
    /// How many pages of the list are left.
    listed: u64,
    /// Which pages of the segments that are in place are left, by their numbers.
    in_place: Range,
    bounds: Bounds,
}

/// The destinations around the last page: most pages are near the one before.
#[derive(Default)]
struct Bounds {
    /// The destinations around the last source.
    source: Around,
    /// The destinations around the last destination.
    destination: Around,
}

impl Bounds {
    /// Checks a page against the destinations of the dry run, and returns what to do for it.
    #[inline]
    fn op(
        &mut self,
        plan: &Plan,
        memory: &impl GuestMemory,
        listed: &ListedPage,
    ) -> Result<Op, Fault> {
        let page = plan.page.bytes();
        let ListedPage {
            source,
            destination,
        } = *listed;
        // Both are multiples of the page, and so are the bounds: a page is in them as a whole.
        if !self.destination.is_in(&plan.destinations, destination) {
            return Err(Fault::Changed);
        }
        if !memory.contains(source, page) {
            return Err(Fault::SourceOutside);
        }
        if self.source.is_in(&plan.destinations, source) && source != destination {
            return Err(Fault::SourceOverwritten);
        }
        let Range { start, end } = plan.zeroes;
        let copied = if source != destination && destination < end && start < destination + page {
            start.saturating_sub(destination)
        } else {
            page
        };
        Ok(Op {
            source,
            destination,
            copied,
            zeroed: page - copied,
        })
    }
}

impl<'a, M: GuestMemory> Share<'a, M> {
    /// Returns pages `first` up to, not including, `end`: the pages of the list are numbered first,
    /// then those that are in place.
    pub(super) fn new(plan: &'a Plan, memory: &'a M, first: u64, end: u64) -> Self {
        let listed = end.min(plan.listed).saturating_sub(first);
        let place = if listed > 0 {
            plan.place_before(first)
        } else {
            None
        };
        Self {
            plan,
            memory,
            walker: place.map(|(place, _)| {
                Walker::resume(memory, plan.page.bytes(), place, &plan.destinations)
            }),
            skipped: place.map_or(0, |(_, number)| first - number),
            listed,
            in_place: Range {
                start: first.max(plan.listed) - plan.listed,
                end: end.max(plan.listed) - plan.listed,
            },
            bounds: Bounds::default(),
        }
    }

    /// Returns how many pages are left.
    pub const fn pages(&self) -> u64 {
        self.listed + (self.in_place.end - self.in_place.start)
    }

    /// Returns the next page of the list.
    #[inline]
    fn next_listed(&mut self) -> Option<Result<Op, ListError>> {
        let walker = self.walker.as_mut()?;
        let listed = loop {
            match walker.next_page() {
                Ok(Some(listed)) if self.skipped == 0 => break Ok(listed),
                Ok(Some(_)) => self.skipped -= 1,
                Ok(None) => break Err(Fault::Changed),
                Err(fault) => break Err(fault),
            }
        };
        let op = listed.and_then(|listed| self.bounds.op(self.plan, self.memory, &listed));
        match op {
            Ok(op) => {
                self.listed -= 1;
                Some(Ok(op))
            }
            Err(fault) => {
                (self.listed, self.in_place) = (0, Range::default());
                Some(Err(walker.error(fault)))
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
            return self.next_listed();
        }
        if self.in_place.start >= self.in_place.end {
            return None;
        }
        let op = self.page_in_place(self.in_place.start)?;
        self.in_place.start += 1;
        Some(Ok(op))
    }
}
