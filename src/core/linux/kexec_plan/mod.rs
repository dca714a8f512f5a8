// SPDX-License-Identifier: Apache-2.0
//! The plan of a kexec: which pages are copied where. It is checked in a dry run, then shared out
//! among CPUs.
//!
//! The dry run checks each entry by itself, gathers the destinations, and checks that no source is
//! in a destination but its own, and no page of the list in any. So pages may be copied in any
//! order, by any CPU. The segments of a `kimage` say where pages go, so that one walk is enough;
//! without them a second walk checks the sources against the destinations that the first one has
//! gathered.

mod next_kernel;
mod segments;
mod share;
#[cfg(test)]
mod tests;

pub use next_kernel::NextKernel;
pub use segments::SegmentError;
pub use share::{Op, Share};

use super::image::PageSize;
use super::kexec_list::{Entry, Fault, ListError, ListStart, ListedPage, Place, Walker};
use super::kimage::{Kimage, Segment};
use super::ranges::{Around, Range, Ranges};
use crate::devicetree::blob::{self, header};
use crate::memory::guest_memory::GuestMemory;
use next_kernel::Candidates;
use segments::Segments;
use thiserror::Error;

/// How many places in the list a plan remembers.
const MAX_PLACES: usize = 1024;

/// A request for the next kernel, by its source.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// From Linux's own kexec: its `kimage`.
    Kimage(&'a Kimage),
    /// From the call [`baton_abi::KEXEC`].
    Call {
        /// Physical address of the first page of the list.
        list: u64,
        /// Physical address of the next kernel's first instruction.
        entry: u64,
        /// Physical address of its device tree.
        device_tree: u64,
    },
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// An entry of the list is wrong.
    #[error("kexec list: {0}")]
    List(#[from] ListError),
    /// A segment is wrong.
    #[error("kexec segment {0}")]
    Segment(#[from] SegmentError),
    /// The next kernel's entry is not in guest memory, or not aligned to 4 bytes.
    #[error("kexec entry {0:#x} is not in guest memory")]
    Entry(u64),
    /// The next kernel's device tree is not in guest memory.
    #[error("kexec device tree {0:#x} is not in guest memory")]
    DeviceTree(u64),
    /// The kernel at this address is entered without a purgatory, and there is not exactly one
    /// device tree for it.
    #[error("no single device tree for the kernel at {0:#x}")]
    NoDeviceTree(u64),
}

impl PlanError {
    /// Returns whether the error is an address outside guest memory, rather than a request that
    /// makes no sense.
    pub const fn is_address(&self) -> bool {
        match self {
            Self::List(error) => error.fault.is_address(),
            Self::Segment(error) => error.is_address(),
            Self::Entry(_) | Self::DeviceTree(_) => true,
            Self::NoDeviceTree(_) => false,
        }
    }
}

/// A plan that has been checked. It has about 28 KiB, and can be in a `static`.
#[derive(Debug)]
pub struct Plan {
    page: PageSize,
    start: ListStart,
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
    /// The places of every source whose number is a multiple of `1 << spacing`.
    places: [Place; MAX_PLACES],
    spacing: u32,
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
            page: PageSize::Size4K,
            start: ListStart::Page(0),
            listed: 0,
            destinations: Ranges::new(),
            segments: Segments::new(),
            in_place: 0,
            zeroes: Range { start: 0, end: 0 },
            next_kernel: NextKernel { entry: 0, x0: 0 },
            device_tree: None,
            places: [Place {
                at: 0,
                index: 0,
                destination: 0,
            }; MAX_PLACES],
            spacing: 0,
        }
    }

    /// Checks a request, and makes this its plan. `page` is the page size of the kernel that asks,
    /// `max_pages` how many such pages of RAM the guest has.
    ///
    /// # Errors
    ///
    /// Returns [`PlanError`] if the request is not valid; then the plan moves nothing.
    pub fn prepare(
        &mut self,
        memory: &impl GuestMemory,
        page: PageSize,
        max_pages: u64,
        request: Request<'_>,
    ) -> Result<(), PlanError> {
        let result = self.dry_run(memory, page, max_pages, request);
        if result.is_err() {
            (self.listed, self.in_place) = (0, 0);
        }
        result
    }

    /// Returns how many pages there are for all CPUs together.
    pub const fn pages(&self) -> u64 {
        self.listed + self.in_place
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
        let (index, of) = (index as u64, of as u64);
        if index >= of {
            return Share::new(self, memory, 0, 0);
        }
        let (each, more) = (self.pages() / of, self.pages() % of);
        let first = each * index + index.min(more);
        Share::new(self, memory, first, first + each + u64::from(index < more))
    }

    /// Makes the plan of `request`, and checks it.
    fn dry_run(
        &mut self,
        memory: &impl GuestMemory,
        page: PageSize,
        max_pages: u64,
        request: Request<'_>,
    ) -> Result<(), PlanError> {
        self.page = page;
        self.destinations.clear();
        self.segments.clear();
        self.zeroes = Range::default();
        (self.listed, self.in_place, self.spacing) = (0, 0, 0);
        self.device_tree = None;
        // Where pages may go, as far as segments tell it.
        let mut bounds = Ranges::new();
        let entry = match request {
            Request::Kimage(kimage) => {
                self.start = ListStart::Head {
                    at: kimage.address(),
                    value: kimage.head(),
                };
                self.segments.set(memory, self.page, kimage.segments())?;
                for range in self.segments.ranges() {
                    // There is room for all of them, and none overlaps another one.
                    let _ = bounds.add(range);
                }
                kimage.start()
            }
            Request::Call {
                list,
                entry,
                device_tree,
            } => {
                if !memory.contains(device_tree, header::SIZE as u64) {
                    return Err(PlanError::DeviceTree(device_tree));
                }
                self.start = ListStart::Page(list);
                let tree = Segment {
                    start: device_tree,
                    size: blob::MAX_SIZE,
                    file_size: blob::MAX_SIZE,
                };
                self.device_tree = Some((tree, None));
                entry
            }
        };
        if !memory.contains(entry, 4) || !entry.is_multiple_of(4) {
            return Err(PlanError::Entry(entry));
        }

        let mut candidates = Candidates::new();
        self.gather(memory, max_pages, &bounds, &mut candidates)?;
        if let Request::Call { device_tree, .. } = request {
            self.check_overlaps(memory)?;
            self.next_kernel = NextKernel {
                entry,
                x0: device_tree,
            };
            return Ok(());
        }
        self.segments.check_whole(page)?;
        for segment in self.segments.in_place() {
            candidates.look(memory, segment, segment.start, None);
            self.in_place += page.pages(segment.size);
        }
        self.next_kernel = candidates.choose(entry)?;
        self.device_tree = candidates.device_tree();
        // Behind the file of the kernel's segment are zeroes alone: the kernel asks for them, and
        // Linux has put them there. Behind the file of another segment it may have written since
        // (IMA's measurements).
        if let Some(segment) = candidates.only_image() {
            let end = segment.start + segment.size;
            self.zeroes = Range {
                start: segment.start.saturating_add(segment.file_size).min(end),
                end,
            };
        }
        Ok(())
    }

    /// Does the first walk: checks each page, and gathers the destinations and some places.
    fn gather(
        &mut self,
        memory: &impl GuestMemory,
        max_pages: u64,
        bounds: &Ranges,
        candidates: &mut Candidates,
    ) -> Result<(), PlanError> {
        let page = self.page.bytes();
        let mut walker = Walker::start(memory, page, self.start, bounds)?;
        let mut around = Around::default();
        let mut run = Range::default();
        // From the start of the run up to here, no earlier page has a destination; 0 before the
        // first run.
        let mut free = 0;
        loop {
            let listed = match walker.next_page() {
                Ok(Some(listed)) => listed,
                Ok(None) => break,
                Err(fault) => return Err(walker.error(fault).into()),
            };
            let ListedPage {
                source,
                destination,
            } = listed;
            if self.listed == max_pages {
                return Err(walker.error(Fault::Endless).into());
            }
            if !memory.contains(source, page) {
                return Err(walker.error(Fault::SourceOutside).into());
            }
            if around.is_in(bounds, source) && source != destination {
                return Err(walker.error(Fault::SourceOverwritten).into());
            }
            // A destination in a segment needs no check: all of a segment is in guest memory.
            if !self.segments.count_page(destination, page) {
                if !self.segments.is_empty() {
                    return Err(walker.error(Fault::OutsideSegments).into());
                }
                if !memory.contains(destination, page) {
                    return Err(walker.error(Fault::DestinationOutside).into());
                }
                if let Some((tree, place)) = &mut self.device_tree
                    && page_of(tree.start, page) == destination
                {
                    *place = Some(walker.entry().place(destination));
                }
            } else if let Some(segment) = self.segments.beginning_at(destination) {
                let place = walker.entry().place(destination);
                candidates.look(memory, segment, source, Some(place));
            }
            if destination != run.end || free == 0 {
                self.destinations
                    .add(run)
                    .map_err(|_| walker.error(Fault::TooScattered))?;
                let (around, taken) = self.destinations.around(destination);
                run.start = destination;
                free = if taken { destination } else { around.end };
            }
            if destination >= free {
                return Err(walker.error(Fault::DestinationTwice).into());
            }
            run.end = destination + page;
            self.remember(&walker.entry(), destination);
            self.listed += 1;
        }
        self.destinations
            .add(run)
            .map_err(|_| walker.error(Fault::TooScattered).into())
    }

    /// Does the second walk: checks each source against all destinations.
    fn check_overlaps(&self, memory: &impl GuestMemory) -> Result<(), PlanError> {
        let mut walker = Walker::start(memory, self.page.bytes(), self.start, &self.destinations)?;
        let mut around = Around::default();
        for _ in 0..self.listed {
            let listed = walker
                .next_page()
                .and_then(|listed| listed.ok_or(Fault::Changed))
                .map_err(|fault| walker.error(fault))?;
            if around.is_in(&self.destinations, listed.source)
                && listed.source != listed.destination
            {
                return Err(walker.error(Fault::SourceOverwritten).into());
            }
        }
        match walker.next_page() {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(walker.error(Fault::Changed).into()),
            Err(fault) => Err(walker.error(fault).into()),
        }
    }

    /// Remembers the place of a source, if its number is a multiple of the spacing. If there is no
    /// room, the spacing is doubled.
    #[inline]
    fn remember(&mut self, entry: &Entry, destination: u64) {
        if self.listed & ((1 << self.spacing) - 1) != 0 {
            return;
        }
        if self.listed >> self.spacing == MAX_PLACES as u64 {
            for kept in 1..MAX_PLACES / 2 {
                self.places.copy_within(2 * kept..2 * kept + 1, kept);
            }
            self.spacing += 1;
        }
        let slot = usize::try_from(self.listed >> self.spacing).ok();
        if let Some(place) = slot.and_then(|slot| self.places.get_mut(slot)) {
            *place = entry.place(destination);
        }
    }

    /// Returns the remembered place at or before source `number`, and the number of the source
    /// there.
    fn place_before(&self, number: u64) -> Option<(Place, u64)> {
        let slot = number >> self.spacing;
        let place = self.places.get(usize::try_from(slot).ok()?)?;
        Some((*place, slot << self.spacing))
    }
}

/// Returns where the page of `size` bytes begins that `address` is in.
const fn page_of(address: u64, size: u64) -> u64 {
    address & !(size - 1)
}
