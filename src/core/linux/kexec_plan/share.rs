// SPDX-License-Identifier: Apache-2.0
//! One CPU's part of a plan.

use super::Plan;
use crate::linux::kexec_list::{Fault, ListError, ListedPage, Walker};
use crate::linux::ranges::{Around, Range};
use crate::memory::guest_memory::GuestMemory;

/// What to do for one page. The addresses are physical, and in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// Where the page is.
    pub source: u64,
    /// Where it goes.
    pub destination: u64,
    /// Bytes to copy, from the page's start on.
    pub copied: u64,
    /// Bytes to fill with zeroes behind them. Both together are a page.
    pub zeroed: u64,
}

impl Op {
    /// Whether the page is where it belongs, and is only to be cleaned to the point of coherency.
    pub const fn is_in_place(&self) -> bool {
        self.source == self.destination
    }
}

/// Gives a CPU its pages, in the order of the list.
///
/// The list is read again from guest memory, and each address checked again: it may have been
/// changed since the dry run. After an error nothing more comes.
pub struct Share<'a, M> {
    plan: &'a Plan,
    memory: &'a M,
    walker: Option<Walker<'a, M>>,
    /// Pages from the walker that are another CPU's, before the first of this one's.
    pub(super) skipped: u64,
    /// Pages left from the list.
    listed: u64,
    /// Pages left from the segments that are in place: from which number up to which.
    in_place: Range,
    bounds: Bounds,
}

/// Where the last page was, in view of all destinations.
#[derive(Default)]
struct Bounds {
    /// The destinations around the last source.
    source: Around,
    /// The destinations around the last destination.
    destination: Around,
}

impl Bounds {
    /// Checks a page against the destinations of the dry run.
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
    /// Pages `first` up to, not including, `end`: those of the list come first, then those that are
    /// in place.
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

    /// Pages that are left.
    pub const fn pages(&self) -> u64 {
        self.listed + (self.in_place.end - self.in_place.start)
    }

    /// The next page of the list.
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

    /// Page `number` of the segments that are in place.
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
