// SPDX-License-Identifier: Apache-2.0
//! What is wrong with what a purgatory has recorded.

use super::DIGEST_SIZE;
use crate::linux::kimage::Segment;
use core::fmt::{self, Display, Formatter};
use thiserror::Error;

/// Why nothing in a purgatory can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PurgatoryError {
    /// The address at which the crash image begins to run is in none of its segments.
    #[error("the crash image begins at {0:#x}, which is in no segment")]
    NoSegment(u64),
    /// A segment is not in guest memory, or the purgatory not aligned to 8 bytes.
    #[error("the crash image's segment at {:#x}, {:#x} bytes, is not in guest memory", .0.start, .0.size)]
    Outside(Segment),
    /// The segment is larger than a purgatory.
    #[error("the purgatory, {:#x} with {:#x} bytes, is too large for one", .0.start, .0.size)]
    TooLarge(Segment),
    /// There is no table of regions in it.
    #[error("the purgatory, {:#x} with {:#x} bytes, has no regions for its SHA-256", .0.start, .0.size)]
    NoTable(Segment),
    /// The table is not that of the segments.
    #[error("the purgatory's regions for its SHA-256 are not the segments: {0}")]
    Damaged(Entry),
}

/// An entry of the table that is not its segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Error)]
#[error(
    "region {number} is {start:#x} with {size:#x} bytes, not {expected_start:#x} with {expected_size:#x}"
)]
pub struct Entry {
    /// Its number.
    pub number: usize,
    /// Its physical address, and its size in bytes.
    pub start: u64,
    /// See there.
    pub size: u64,
    /// Those of the segment; 0 behind the last one.
    pub expected_start: u64,
    /// See there.
    pub expected_size: u64,
}

/// The crash image is not what was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub struct Mismatch {
    /// The SHA-256 of what is there.
    pub found: [u8; DIGEST_SIZE],
    /// What is where the digest should be, if anything is.
    pub recorded: Option<[u8; DIGEST_SIZE]>,
    /// Of how many regions it is.
    pub regions: usize,
    /// How many bytes they have together.
    pub size: u64,
}

impl Display for Mismatch {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let (regions, size) = (self.regions, self.size);
        write!(
            formatter,
            "the SHA-256 of the crash image's {regions} regions, {size:#x} bytes, is "
        )?;
        hex(formatter, &self.found)?;
        if let Some(recorded) = &self.recorded {
            formatter.write_str(", not ")?;
            hex(formatter, recorded)?;
        }
        Ok(())
    }
}

fn hex(formatter: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes
        .iter()
        .try_for_each(|byte| write!(formatter, "{byte:02x}"))
}
