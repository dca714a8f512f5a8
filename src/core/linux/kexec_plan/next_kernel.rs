// SPDX-License-Identifier: Apache-2.0
//! Where the next kernel is entered, and with which device tree.

use super::{Plan, PlanError, page_of};
use crate::devicetree::blob;
use crate::linux::image::{MAGIC, MAGIC_OFFSET};
use crate::linux::kexec_list::Place;
use crate::linux::kimage::Segment;
use crate::linux::ranges::Range;
use crate::memory::guest_memory::GuestMemory;

/// How the next kernel is entered, with MMU and data cache off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextKernel {
    /// Physical address of its first instruction.
    pub entry: u64,
    /// The value of x0: the physical address of a device tree, or 0.
    pub x0: u64,
}

/// The segments that are a kernel or a device tree, going by their first page.
pub struct Candidates {
    images: Found,
    trees: Found,
}

/// The first segment of a kind, and how many there are.
#[derive(Default)]
struct Found {
    first: Segment,
    /// Where the list fills it; `None` if it is in place.
    place: Option<Place>,
    count: usize,
}

impl Found {
    /// Counts one more.
    fn count(&mut self, segment: Segment, place: Option<Place>) {
        if self.count == 0 {
            (self.first, self.place) = (segment, place);
        }
        self.count += 1;
    }

    /// Returns the segment if it is the only one.
    fn only(&self) -> Option<Segment> {
        (self.count == 1).then_some(self.first)
    }
}

impl Candidates {
    /// Returns no candidates.
    pub fn new() -> Self {
        Self {
            images: Found::default(),
            trees: Found::default(),
        }
    }

    /// Looks at the first page of `segment`, which is at physical address `source` now. `place` is
    /// where the list fills the segment, if it does.
    pub fn look(
        &mut self,
        memory: &impl GuestMemory,
        segment: Segment,
        source: u64,
        place: Option<Place>,
    ) {
        let word = |offset| Some(memory.read_u64(source.checked_add(offset)?)? as u32);
        if segment.file_size > MAGIC_OFFSET as u64 && word(MAGIC_OFFSET as u64) == Some(MAGIC) {
            self.images.count(segment, place);
        } else if segment.file_size > 0 && word(0) == Some(u32::from_be(blob::MAGIC)) {
            self.trees.count(segment, place);
        }
    }

    /// Returns the kernel's segment, if there is exactly one.
    pub fn only_image(&self) -> Option<Segment> {
        self.images.only()
    }

    /// The device tree that the kernel is entered with, and where the list fills it, if it does.
    pub fn device_tree(&self) -> Option<(Segment, Option<Place>)> {
        self.images.only()?;
        Some((self.trees.only()?, self.trees.place))
    }

    /// Chooses how to enter the next kernel: the one kernel with the one device tree, as the
    /// purgatory would. If there is not one of each, `start` is entered, which is a purgatory that
    /// knows them.
    ///
    /// # Errors
    ///
    /// Returns [`PlanError::NoDeviceTree`] if `start` is a kernel.
    pub fn choose(&self, start: u64) -> Result<NextKernel, PlanError> {
        match (self.images.only(), self.trees.only()) {
            (Some(image), Some(tree)) => Ok(NextKernel {
                entry: image.start,
                x0: tree.start,
            }),
            (Some(image), None) if image.start == start => Err(PlanError::NoDeviceTree(start)),
            _ => Ok(NextKernel {
                entry: start,
                x0: 0,
            }),
        }
    }
}

impl Plan {
    /// Ends a check in which each entry was found good.
    pub(super) fn finish(&mut self, memory: &impl GuestMemory) -> Result<(), PlanError> {
        if !self.is_walked {
            self.note_places(memory);
        }
        if self.segments.is_empty() {
            return Ok(());
        }
        let page = self.page;
        self.segments.check_whole(page)?;
        self.in_place = self
            .segments
            .in_place()
            .map(|segment| page.pages(segment.size))
            .sum();
        let mut candidates = Candidates::new();
        for (segment, place) in self.segments.beginnings() {
            let source = match place {
                Some(place) => memory
                    .read_u64(place.at)
                    .map(|entry| page_of(entry, page.bytes())),
                None => Some(segment.start),
            };
            if let Some(source) = source {
                candidates.look(memory, segment, source, place);
            }
        }
        self.next_kernel = candidates.choose(self.next_kernel.entry)?;
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

    /// Notes where the list fills the first page of each segment, or of the device tree of a call.
    fn note_places(&mut self, memory: &impl GuestMemory) {
        let page = self.page.bytes();
        let (pages, stretches) = (&self.pages, &self.stretches);
        let place_for = |address| {
            let position = stretches.position_for(address, page)?;
            pages.place(memory, position, address)
        };
        if self.segments.is_empty() {
            if let Some((tree, place)) = &mut self.device_tree {
                *place = place_for(page_of(tree.start, page));
            }
        } else {
            self.segments.note_beginnings(place_for);
        }
    }
}
