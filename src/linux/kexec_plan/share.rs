//! One CPU's part of a plan.

use super::Plan;
use crate::linux::kexec_list::{Fault, ListError, ListedPage, Walker};
use crate::linux::kimage::GuestMemory;
use crate::linux::ranges::Range;

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
    /// The destinations around the last source.
    around_source: (Range, bool),
    /// The destinations around the last destination.
    around_destination: (Range, bool),
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
            around_source: Default::default(),
            around_destination: Default::default(),
        }
    }

    /// Pages that are left.
    pub const fn pages(&self) -> u64 {
        self.listed + (self.in_place.end - self.in_place.start)
    }

    fn next_listed(&mut self, walker: &mut Walker<'a, M>) -> Result<Op, ListError> {
        loop {
            let listed = walker
                .next_page()?
                .ok_or_else(|| walker.error(Fault::Changed))?;
            if self.skipped == 0 {
                return self.op(&listed);
            }
            self.skipped -= 1;
        }
    }

    /// Checks a page against the destinations of the dry run.
    fn op(&mut self, listed: &ListedPage) -> Result<Op, ListError> {
        let page = self.plan.page.bytes();
        let destinations = &self.plan.destinations;
        let ListedPage {
            source,
            destination,
            ..
        } = *listed;
        if !self.around_destination.0.holds(destination) {
            self.around_destination = destinations.around(destination);
        }
        // Both are multiples of the page, and so are the bounds: a page is in them as a whole.
        if !self.around_destination.1 {
            return Err(listed.error(Fault::Changed));
        }
        if !self.memory.contains(source, page) {
            return Err(listed.error(Fault::SourceOutside));
        }
        if !self.around_source.0.holds(source) {
            self.around_source = destinations.around(source);
        }
        if self.around_source.1 && source != destination {
            return Err(listed.error(Fault::SourceOverwritten));
        }
        let Range { start, end } = self.plan.zeroes;
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
            let mut walker = self.walker.take()?;
            let op = self.next_listed(&mut walker);
            if op.is_ok() {
                self.listed -= 1;
                self.walker = Some(walker);
            } else {
                (self.listed, self.in_place) = (0, Range::default());
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
