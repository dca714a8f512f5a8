// SPDX-License-Identifier: Apache-2.0
//! The segments of a `kimage`, and how many of their pages are on the list.

use crate::linux::image::PageSize;
use crate::linux::kexec_list::Place;
use crate::linux::kimage::{MAX_SEGMENTS, Segment};
use crate::linux::ranges::{Range, Ranges};
use crate::memory::guest_memory::GuestMemory;
use thiserror::Error;

/// Why a segment is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SegmentError {
    /// Start or size is not a multiple of the page size.
    #[error("{number}, {start:#x} with {size:#x} bytes, is not aligned to pages")]
    Unaligned {
        /// Its number.
        number: usize,
        /// Its physical address.
        start: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// Not all of it is in guest memory.
    #[error("{number}, {start:#x} with {size:#x} bytes, is not in guest memory")]
    Outside {
        /// Its number.
        number: usize,
        /// Its physical address.
        start: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// It overlaps another one.
    #[error("{number} overlaps segment {other}")]
    Overlap {
        /// Its number.
        number: usize,
        /// The number of the other one.
        other: usize,
    },
    /// A part of it is on the list. All of it should be, or nothing if it is in place already.
    #[error("{number} has {expected} pages, and the list fills {listed}")]
    Partial {
        /// Its number.
        number: usize,
        /// Its size in pages.
        expected: u64,
        /// How many of its pages are on the list.
        listed: u64,
    },
}

impl SegmentError {
    /// Returns whether the error is an address outside guest memory.
    pub const fn is_address(&self) -> bool {
        matches!(self, Self::Outside { .. })
    }
}

/// A segment, and how many of its pages are on the list.
#[derive(Clone, Copy, Debug)]
struct Filled {
    segment: Segment,
    listed: u64,
    /// Where the list fills its first page.
    beginning: Option<Place>,
}

impl Filled {
    /// No segment.
    const NONE: Self = Self {
        segment: Segment {
            file_size: 0,
            start: 0,
            size: 0,
        },
        listed: 0,
        beginning: None,
    };
}

impl Filled {
    const fn range(&self) -> Range {
        Range {
            start: self.segment.start,
            end: self.segment.start + self.segment.size,
        }
    }
}

/// The segments of a request; none if it has none, as a KEXEC call.
#[derive(Debug)]
pub struct Segments {
    filled: [Filled; MAX_SEGMENTS],
    count: usize,
    ranges: Ranges,
}

impl Segments {
    /// Returns no segments.
    pub const fn new() -> Self {
        Self {
            filled: [Filled::NONE; MAX_SEGMENTS],
            count: 0,
            ranges: Ranges::new(),
        }
    }

    /// Removes all segments.
    pub fn clear(&mut self) {
        self.count = 0;
        self.ranges.clear();
    }

    /// Sets the segments to those of a request.
    ///
    /// # Errors
    ///
    /// Returns [`SegmentError`] for the first one that is not valid.
    pub fn set(
        &mut self,
        memory: &impl GuestMemory,
        page: PageSize,
        segments: &[Segment],
    ) -> Result<(), SegmentError> {
        for (number, (filled, segment)) in self.filled.iter_mut().zip(segments).enumerate() {
            let Segment { start, size, .. } = *segment;
            if !(start | size).is_multiple_of(page.bytes()) {
                return Err(SegmentError::Unaligned {
                    number,
                    start,
                    size,
                });
            }
            if !memory.contains(start, size) {
                return Err(SegmentError::Outside {
                    number,
                    start,
                    size,
                });
            }
            let before = segments.iter().take(number);
            let overlaps =
                |other: &Segment| start < other.start + other.size && other.start < start + size;
            if let Some(other) = before.into_iter().position(overlaps) {
                return Err(SegmentError::Overlap { number, other });
            }
            *filled = Filled {
                segment: *segment,
                ..Filled::NONE
            };
            // There is room for all of them, and none overlaps another one.
            let _ = self.ranges.add(Range {
                start,
                end: start + size,
            });
        }
        self.count = segments.len().min(MAX_SEGMENTS);
        Ok(())
    }

    /// Returns whether there are no segments.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the addresses of all segments.
    pub fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    /// Counts no page any more.
    pub fn uncount(&mut self) {
        for filled in self.filled.iter_mut().take(self.count) {
            (filled.listed, filled.beginning) = (0, None);
        }
    }

    /// Counts the pages that are copied to `destinations`, which are whole pages. Returns false if not all of
    /// that is in segments.
    pub fn count(&mut self, destinations: Range, page: PageSize) -> bool {
        let Range { mut start, end } = destinations;
        while start < end {
            let holds = |filled: &&mut Filled| filled.range().holds(start);
            let mut segments = self.filled.iter_mut().take(self.count);
            let Some(filled) = segments.find(holds) else {
                return false;
            };
            let behind = filled.range().end.min(end);
            filled.listed += page.pages(behind - start);
            start = behind;
        }
        true
    }

    /// Notes that the page at `destination` is filled from `place`, if a segment begins there.
    pub fn note_beginning(&mut self, destination: u64, place: Place) {
        let mut segments = self.filled.iter_mut().take(self.count);
        let begins =
            |filled: &&mut Filled| filled.segment.start == destination && filled.segment.size > 0;
        if let Some(filled) = segments.find(begins) {
            filled.beginning = Some(place);
        }
    }

    /// Notes for each segment on the list the place that `place_for` has for its first page.
    pub fn note_beginnings(&mut self, place_for: impl Fn(u64) -> Option<Place>) {
        let filled = self.filled.iter_mut().take(self.count);
        for filled in filled.filter(|filled| filled.listed > 0) {
            filled.beginning = place_for(filled.segment.start);
        }
    }

    /// Returns how many pages all segments have.
    pub fn pages(&self, page: PageSize) -> u64 {
        let filled = self.filled.iter().take(self.count);
        filled.map(|filled| page.pages(filled.segment.size)).sum()
    }

    /// Returns each segment, and where the list fills its first page, if it does.
    pub fn beginnings(&self) -> impl Iterator<Item = (Segment, Option<Place>)> {
        let filled = self.filled.iter().take(self.count);
        filled.map(|filled| (filled.segment, filled.beginning))
    }

    /// Checks that all of each segment is on the list, or nothing of it.
    ///
    /// # Errors
    ///
    /// Returns [`SegmentError::Partial`] for the first one of which a part is.
    pub fn check_whole(&self, page: PageSize) -> Result<(), SegmentError> {
        for (number, filled) in self.filled.iter().take(self.count).enumerate() {
            let Filled {
                segment, listed, ..
            } = filled;
            let expected = page.pages(segment.size);
            if *listed != 0 && *listed != expected {
                return Err(SegmentError::Partial {
                    number,
                    expected,
                    listed: *listed,
                });
            }
        }
        Ok(())
    }

    /// Returns the segments that are not on the list: the kernel has loaded them into place already
    /// (memory from CMA, from 6.17 on).
    pub fn in_place(&self) -> impl Iterator<Item = Segment> {
        let filled = self.filled.iter().take(self.count);
        filled
            .filter(|filled| filled.listed == 0)
            .map(|filled| filled.segment)
    }
}
