// SPDX-License-Identifier: Apache-2.0
//! The segments of a `kimage`, and how many of their pages are on the list.

use crate::linux::image::PageSize;
use crate::linux::kimage::{MAX_SEGMENTS, Segment};
use crate::linux::ranges::Range;
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
    };
}

/// The segments of a request; none if it has none, as a KEXEC call.
#[derive(Debug)]
pub struct Segments {
    filled: [Filled; MAX_SEGMENTS],
    count: usize,
    /// The one that the last page went to.
    current: usize,
}

impl Segments {
    /// Returns no segments.
    pub const fn new() -> Self {
        Self {
            filled: [Filled::NONE; MAX_SEGMENTS],
            count: 0,
            current: 0,
        }
    }

    /// Removes all segments.
    pub fn clear(&mut self) {
        *self = Self::new();
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
                listed: 0,
            };
        }
        self.count = segments.len().min(MAX_SEGMENTS);
        Ok(())
    }

    /// Returns whether there are no segments.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the range of each segment.
    pub fn ranges(&self) -> impl Iterator<Item = Range> {
        self.filled.iter().take(self.count).map(|filled| Range {
            start: filled.segment.start,
            end: filled.segment.start + filled.segment.size,
        })
    }

    /// Counts a page that is copied to `destination`. Returns false if that is in no segment, or
    /// the page reaches beyond the end of it.
    #[inline]
    pub fn count_page(&mut self, destination: u64, page: u64) -> bool {
        let holds = |filled: &Filled| {
            let Segment { start, size, .. } = filled.segment;
            destination
                .checked_sub(start)
                .is_some_and(|offset| offset < size && page <= size - offset)
        };
        if !self.filled.get(self.current).is_some_and(holds) {
            let Some(found) = self.filled.iter().take(self.count).position(holds) else {
                return false;
            };
            self.current = found;
        }
        if let Some(filled) = self.filled.get_mut(self.current) {
            filled.listed += 1;
        }
        true
    }

    /// Returns the segment of the page that was counted last, if it begins at `destination`.
    #[inline]
    pub fn beginning_at(&self, destination: u64) -> Option<Segment> {
        let filled = self.filled.get(self.current)?;
        (filled.segment.start == destination).then_some(filled.segment)
    }

    /// Checks that all of each segment is on the list, or nothing of it.
    ///
    /// # Errors
    ///
    /// Returns [`SegmentError::Partial`] for the first one of which a part is.
    pub fn check_whole(&self, page: PageSize) -> Result<(), SegmentError> {
        for (number, Filled { segment, listed }) in self.filled.iter().take(self.count).enumerate()
        {
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
