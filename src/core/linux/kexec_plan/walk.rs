// SPDX-License-Identifier: Apache-2.0
//! The check of any list, entry by entry: it names the first one that is wrong.

use super::spaced::Spaced;
use super::{Plan, page_of};
use crate::linux::kexec_list::{Fault, ListError, ListedPage, Place, Walker};
use crate::linux::ranges::{Around, Range, Ranges};
use crate::memory::guest_memory::GuestMemory;

/// How many places in the list are kept.
const MAX_PLACES: usize = 128;

/// The places of some sources.
pub type Places = Spaced<Place, MAX_PLACES>;

/// Entries among which the first wrong one is, if the list is of Linux's form up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The first of them; the list up to it makes the stretches of the plan.
    pub first: Place,
    /// The number of the last one.
    pub last: u64,
}

impl Plan {
    /// Returns the first error among `suspect`: that of a walk from the start, if all before it holds.
    pub(super) fn walk_suspect(
        &mut self,
        memory: &impl GuestMemory,
        suspect: Suspect,
    ) -> Option<ListError> {
        let bounds = self.segments.ranges().clone();
        let walker = Walker::resume(memory, self.page.bytes(), suspect.first, &bounds);
        let found = self.gather(memory, walker, &bounds).err()?;
        (found.entry.index <= suspect.last).then_some(found)
    }

    /// Checks the list from its start on.
    ///
    /// The segments of a `kimage` say where pages go, so that one walk is enough; without them a second one
    /// checks the sources against the destinations that the first one has gathered.
    pub(super) fn walk(&mut self, memory: &impl GuestMemory) -> Result<(), ListError> {
        self.forget_list();
        self.is_walked = true;
        // Where pages may go, as far as segments tell it.
        let bounds = self.segments.ranges().clone();
        let walker = Walker::start(memory, self.page.bytes(), self.start, &bounds)?;
        self.gather(memory, walker, &bounds)?;
        if self.segments.is_empty() {
            self.check_overlaps(memory)?;
        }
        Ok(())
    }

    /// Does the first walk, from where `walker` is: checks each page, and gathers the destinations and some
    /// places.
    fn gather<M: GuestMemory>(
        &mut self,
        memory: &M,
        mut walker: Walker<'_, M>,
        bounds: &Ranges,
    ) -> Result<(), ListError> {
        let page = self.page.bytes();
        let mut around = Around::default();
        let mut run = Range::default();
        // From the start of the run up to here, no earlier page has a destination; 0 before the
        // first run.
        let mut free = 0;
        loop {
            let listed = match walker.next_page() {
                Ok(Some(listed)) => listed,
                Ok(None) => break,
                Err(fault) => return Err(walker.error(fault)),
            };
            let ListedPage {
                source,
                destination,
            } = listed;
            if self.listed == self.max_pages {
                return Err(walker.error(Fault::Endless));
            }
            if !memory.contains(source, page) {
                return Err(walker.error(Fault::SourceOutside));
            }
            if around.is_in(bounds, source) && source != destination {
                return Err(walker.error(Fault::SourceOverwritten));
            }
            let place = walker.entry().place(destination);
            let range = Range {
                start: destination,
                end: destination + page,
            };
            // A destination in a segment needs no check: all of a segment is in guest memory.
            if self.segments.is_empty() {
                if !memory.contains(destination, page) {
                    return Err(walker.error(Fault::DestinationOutside));
                }
                if let Some((tree, first)) = &mut self.device_tree
                    && page_of(tree.start, page) == destination
                {
                    *first = Some(place);
                }
            } else if self.segments.count(range, self.page) {
                self.segments.note_beginning(destination, place);
            } else {
                return Err(walker.error(Fault::OutsideSegments));
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
                return Err(walker.error(Fault::DestinationTwice));
            }
            run.end = destination + page;
            self.places.keep(self.listed, place);
            self.listed += 1;
        }
        self.destinations
            .add(run)
            .map_err(|_| walker.error(Fault::TooScattered))
    }

    /// Does the second walk: checks each source, and each page of the list, against all destinations.
    fn check_overlaps(&self, memory: &impl GuestMemory) -> Result<(), ListError> {
        let destinations: &Ranges = &self.destinations;
        let mut walker = Walker::start(memory, self.page.bytes(), self.start, destinations)?;
        let mut around = Around::default();
        for _ in 0..self.listed {
            let listed = walker
                .next_page()
                .and_then(|listed| listed.ok_or(Fault::Changed))
                .map_err(|fault| walker.error(fault))?;
            if around.is_in(destinations, listed.source) && listed.source != listed.destination {
                return Err(walker.error(Fault::SourceOverwritten));
            }
        }
        match walker.next_page() {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(walker.error(Fault::Changed)),
            Err(fault) => Err(walker.error(fault)),
        }
    }
}
