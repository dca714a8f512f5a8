// SPDX-License-Identifier: Apache-2.0
//! The plan of a kexec: which pages are copied where. All CPUs check it at once, and copy it at once.
//!
//! The boot CPU has stopped all others by then: no vCPU can write the list any more, from before the check
//! up to the next kernel. So it is looked at once, and shares of the copy take it as it was found.
//!
//! Linux fills each page of a list, and links to the next one by its last entry. So the boot CPU finds the
//! pages by their last entries alone ([`Plan::begin`]), and two rounds of all CPUs follow:
//!
//! 1. Each looks through as many entries for those that are no sources: the few destinations, and the end.
//!    They divide the list into stretches, whose destinations the boot CPU checks ([`Plan::advance`]).
//! 2. Each checks as many sources: none is in a destination but its own. No page of the list is in any
//!    either, so that pages may be copied in any order, by any CPU.
//!
//! What a CPU has not found good, or not looked at, the boot CPU looks at itself: it may know more memory
//! than others do (hot-plugged). If the list is of another form, or its destinations are wrong, it walks
//! all of it by itself, entry by entry: then the list is good after all, or the first entry that is wrong
//! is named. So what is refused, and for what entry, is the same for any number of CPUs.

mod check;
mod list_pages;
mod next_kernel;
mod part;
mod request;
mod rounds;
mod segments;
mod share;
mod spaced;
mod stretches;
mod survey;
#[cfg(test)]
mod tests;
mod walk;

pub use next_kernel::NextKernel;
pub use part::Part;
pub use request::{PlanError, Request};
pub use rounds::Round;
pub use segments::SegmentError;
pub use share::{Op, Share};

use super::image::PageSize;
use super::kexec_list::{ListStart, Place, Walker};
use super::kimage::Segment;
use super::ranges::{Range, Ranges};
use crate::memory::guest_memory::GuestMemory;
use list_pages::ListPages;
use rounds::Stage;
use segments::Segments;
use stretches::Stretches;
use walk::Places;

/// A plan, and the check of it. It has about 14 KiB, and can be in a `static`.
#[derive(Debug)]
pub struct Plan {
    stage: Stage,
    /// Counts the rounds of all checks, so that a part says which one it is of.
    round: u64,
    /// How many CPUs check.
    of: usize,
    page: PageSize,
    /// How many pages of RAM the guest has.
    max_pages: u64,
    start: ListStart,
    /// The pages of the list, and its stretches, if it is as Linux makes it.
    pages: ListPages,
    stretches: Stretches,
    /// Or else some places in it.
    places: Places,
    is_walked: bool,
    /// How many pages are on the list.
    listed: u64,
    destinations: Ranges,
    segments: Segments,
    /// How many pages of segments are in place already, and not on the list.
    in_place: u64,
    /// What to fill with zeroes rather than copy.
    zeroes: Range,
    next_kernel: NextKernel,
    /// The segment that is the next kernel's device tree, and where the list fills it, if it does. That
    /// of a call has the size that a tree may have.
    device_tree: Option<(Segment, Option<Place>)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

impl Plan {
    /// Returns a plan that moves nothing.
    pub const fn new() -> Self {
        Self {
            stage: Stage::Idle,
            round: 0,
            of: 0,
            page: PageSize::Size4K,
            max_pages: 0,
            start: ListStart::Page(0),
            pages: ListPages::new(),
            stretches: Stretches::new(),
            places: Places::new(Place {
                at: 0,
                index: 0,
                destination: 0,
            }),
            is_walked: false,
            listed: 0,
            destinations: Ranges::new(),
            segments: Segments::new(),
            in_place: 0,
            zeroes: Range { start: 0, end: 0 },
            next_kernel: NextKernel { entry: 0, x0: 0 },
            device_tree: None,
        }
    }

    /// Returns how many pages there are for all CPUs together.
    pub const fn pages(&self) -> u64 {
        match self.stage {
            Stage::Done => self.listed + self.in_place,
            _ => 0,
        }
    }

    /// Returns how many of them are on the list, and not in place already.
    pub const fn listed_pages(&self) -> u64 {
        match self.stage {
            Stage::Done => self.listed,
            _ => 0,
        }
    }

    /// Returns the page size in bytes.
    pub const fn page_size(&self) -> u64 {
        self.page.bytes()
    }

    /// Returns how the next kernel is entered.
    pub const fn next_kernel(&self) -> NextKernel {
        self.next_kernel
    }

    /// The segment of the next kernel's device tree, if it is clear which that is. A call says where it
    /// begins alone: the segment is as long as a tree can be then.
    pub fn device_tree(&self) -> Option<Segment> {
        self.device_tree.map(|(segment, _)| segment)
    }

    /// Returns whether the list fills that device tree: else it is where it goes already.
    pub fn lists_device_tree(&self) -> bool {
        matches!(self.device_tree, Some((_, Some(_))))
    }

    /// Where the pages of that device tree are now, in their order. They end at an error, and where they
    /// do not follow each other on the list.
    pub fn device_tree_pages<'a, M: GuestMemory>(
        &'a self,
        memory: &'a M,
    ) -> impl Iterator<Item = u64> + 'a {
        let page = self.page.bytes();
        let (segment, place) = self.device_tree.unwrap_or_default();
        let mut walker = place.map(|place| Walker::resume(memory, page, place, &self.destinations));
        let end = segment.start.saturating_add(segment.size);
        let ends = (page_of(segment.start, page)..end).step_by(page as usize);
        ends.map_while(move |destination| match &mut walker {
            // What the list fills without its first page is not in place.
            None => (!self.destinations.around(destination).1).then_some(destination),
            Some(walker) => {
                let listed = walker.next_page().ok()??;
                let there = listed.destination == destination;
                (there && memory.contains(listed.source, page)).then_some(listed.source)
            }
        })
    }

    /// Returns the ranges that pages are copied to.
    pub fn destinations(&self) -> &[Range] {
        self.destinations.as_slice()
    }

    /// Returns the part of CPU `index` out of `of`. The parts differ by one page at most, and make
    /// up the whole plan. The part is empty if `index` is not below `of`.
    pub fn share<'a, M: GuestMemory>(
        &'a self,
        memory: &'a M,
        index: usize,
        of: usize,
    ) -> Share<'a, M> {
        Share::new(self, memory, split(self.pages(), index, of))
    }

    /// As [`Self::share`], where CPU `busy.0` has other work that takes as long as `busy.1` pages: it has so
    /// many pages less than the others, as far as there are any.
    pub fn share_beside<'a, M: GuestMemory>(
        &'a self,
        memory: &'a M,
        index: usize,
        of: usize,
        busy: (usize, u64),
    ) -> Share<'a, M> {
        Share::new(self, memory, split_beside(self.pages(), index, of, busy))
    }

    /// Forgets what was found out of the list.
    fn forget_list(&mut self) {
        self.listed = 0;
        self.destinations.clear();
        self.stretches.clear();
        self.segments.uncount();
    }

    /// Where no source may be but in its own destination: where pages go, as far as that is known.
    fn bounds(&self) -> &Ranges {
        match self.segments.is_empty() {
            true => &self.destinations,
            false => self.segments.ranges(),
        }
    }

    /// Returns a place in the list at or before source `number`, and the number of the source there.
    fn place_before(&self, memory: &impl GuestMemory, number: u64) -> Option<(Place, u64)> {
        if self.is_walked {
            return self.places.before(number);
        }
        let stretch = self.stretches.from(number).first()?;
        let offset = number - stretch.source;
        let destination = stretch.destination + offset * self.page.bytes();
        let place = self
            .pages
            .place(memory, stretch.position + offset, destination)?;
        Some((place, number))
    }
}

/// Returns part `index` out of `of` of the numbers below `total`. The parts differ by one at most, and make
/// up all of it. The part is empty if `index` is not below `of`.
fn split(total: u64, index: usize, of: usize) -> Range {
    let (index, of) = (index as u64, of as u64);
    if index >= of {
        return Range::default();
    }
    let (each, more) = (total / of, total % of);
    let start = each * index + index.min(more);
    Range {
        start,
        end: start + each + u64::from(index < more),
    }
}

/// As [`split`]; CPU `busy.0` has the first ones, and as many less as its other work, `busy.1`, takes.
fn split_beside(total: u64, index: usize, of: usize, busy: (usize, u64)) -> Range {
    let (busy, work) = busy;
    if of < 2 || busy >= of {
        return split(total, index, of);
    }
    let own = (total.saturating_add(work) / of as u64).saturating_sub(work);
    if index == busy {
        return Range { start: 0, end: own };
    }
    let place = index - usize::from(index > busy);
    let Range { start, end } = split(total - own, place, of - 1);
    Range {
        start: own + start,
        end: own + end,
    }
}

/// Returns where the page of `size` bytes begins that `address` is in.
const fn page_of(address: u64, size: u64) -> u64 {
    address & !(size - 1)
}
