// SPDX-License-Identifier: Apache-2.0
//! What the next kernel is entered with.

use super::PlanError;
use crate::linux::image::{MAGIC, MAGIC_OFFSET};
use crate::linux::kexec_list::Place;
use crate::linux::kimage::Segment;
use crate::memory::guest_memory::GuestMemory;

/// The first word of a device tree, big-endian (Devicetree Specification, section 5.2).
const FDT_MAGIC: u32 = u32::from_be(0xd00d_feed);

/// How the next kernel is entered, with MMU and data cache off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextKernel {
    /// Physical address of its first instruction.
    pub entry: u64,
    /// What x0 holds: the physical address of a device tree, or 0.
    pub x0: u64,
}

/// The segments that are a kernel or a device tree by their first page.
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
    fn count(&mut self, segment: Segment, place: Option<Place>) {
        if self.count == 0 {
            (self.first, self.place) = (segment, place);
        }
        self.count += 1;
    }

    fn only(&self) -> Option<Segment> {
        (self.count == 1).then_some(self.first)
    }
}

impl Candidates {
    pub fn new() -> Self {
        Self {
            images: Found::default(),
            trees: Found::default(),
        }
    }

    /// Looks at the first page of a segment, which is at `source` now. `place` is where the list fills
    /// the segment, if it does.
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
        } else if segment.file_size > 0 && word(0) == Some(FDT_MAGIC) {
            self.trees.count(segment, place);
        }
    }

    /// The kernel, if there is exactly one.
    pub fn only_image(&self) -> Option<Segment> {
        self.images.only()
    }

    /// The device tree that the kernel is entered with, and where the list fills it, if it does.
    pub fn device_tree(&self) -> Option<(Segment, Option<Place>)> {
        self.images.only()?;
        Some((self.trees.only()?, self.trees.place))
    }

    /// Enters the one kernel with the one device tree, as the purgatory would. Where that is not
    /// clear it is left to `start`, if that is a purgatory, which knows better.
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
