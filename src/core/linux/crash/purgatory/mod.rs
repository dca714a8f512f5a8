// SPDX-License-Identifier: Apache-2.0
//! What the purgatory of kexec-tools would verify before it enters the crash kernel.
//!
//! It has a table of 16 regions, each a start and a size in bytes, and the SHA-256 of all of them one
//! after another: the segments of the crash image in their order, without the purgatory's own (kexec-tools
//! `purgatory/purgatory.c`, `update_purgatory()`). Both are found by what they have to be, as the places
//! of variables are the compiler's matter.

mod error;
mod table;
#[cfg(test)]
mod tests;

pub use error::{Mismatch, PurgatoryError};

use crate::linux::image::{MAGIC, MAGIC_OFFSET};
use crate::linux::kimage::{MAX_SEGMENTS, Segment};
use crate::linux::ranges::Range;
use crate::memory::guest_memory::GuestMemory;
use table::Table;

/// Bytes of a SHA-256.
pub const DIGEST_SIZE: usize = 32;
/// How large a purgatory can be, in bytes; that of kexec-tools 2.0.25 has 13720.
const MAX_SIZE: u64 = 1 << 20;

/// What the crash image says of its own contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one, and no heap for its regions"
)]
pub enum Recorded {
    /// Nothing: it has no purgatory, as `kexec_file_load()` gives it none on arm64.
    NoPurgatory,
    /// Nothing: the purgatory was told not to look (`kexec --no-checks`).
    Unchecked,
    /// A digest.
    Digest(Regions),
}

/// The memory that a digest is of, and where it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regions {
    regions: [Range; MAX_SEGMENTS],
    count: usize,
    purgatory: Range,
    /// Physical address of the table.
    table: u64,
}

/// Finds what is recorded of the crash image of `segments`, which are in place and begins to run at
/// physical address `start`.
///
/// # Errors
///
/// Returns [`PurgatoryError`] if there is a purgatory, and nothing in it can be relied on.
pub fn find(
    memory: &impl GuestMemory,
    segments: &[Segment],
    start: u64,
) -> Result<Recorded, PurgatoryError> {
    let holds = |segment: &&Segment| {
        let offset = start.checked_sub(segment.start);
        offset.is_some_and(|offset| offset < segment.size)
    };
    let purgatory = segments.iter().find(holds);
    let purgatory = *purgatory.ok_or(PurgatoryError::NoSegment(start))?;
    if !purgatory.start.is_multiple_of(8) || !memory.contains(purgatory.start, purgatory.size) {
        return Err(PurgatoryError::Outside(purgatory));
    }
    if is_kernel(memory, &purgatory) {
        return Ok(Recorded::NoPurgatory);
    }
    if purgatory.size > MAX_SIZE {
        return Err(PurgatoryError::TooLarge(purgatory));
    }
    let purgatory_range = Range {
        start: purgatory.start,
        end: purgatory.start + purgatory.size,
    };
    let mut regions = [Range::default(); MAX_SEGMENTS];
    let others = segments.iter().filter(|segment| **segment != purgatory);
    let mut count = 0;
    for (region, segment) in regions.iter_mut().zip(others) {
        let (start, size) = (segment.start, segment.size);
        let end = start.checked_add(size);
        let end = end.filter(|_| memory.contains(start, size));
        let end = end.ok_or(PurgatoryError::Outside(*segment))?;
        *region = Range { start, end };
        count += 1;
    }
    let regions = Regions {
        regions,
        count,
        purgatory: purgatory_range,
        table: 0,
    };
    match table::find(memory, purgatory_range, regions.as_slice()) {
        Table::At(table) => Ok(Recorded::Digest(Regions { table, ..regions })),
        Table::Damaged(entry) => Err(PurgatoryError::Damaged(entry)),
        Table::Skipped => Ok(Recorded::Unchecked),
        Table::Nowhere => Err(PurgatoryError::NoTable(purgatory)),
    }
}

impl Regions {
    /// Returns the regions in the order in which they are hashed, each in guest memory.
    pub fn as_slice(&self) -> &[Range] {
        self.regions.get(..self.count).unwrap_or_default()
    }

    /// Returns how many bytes they have together.
    pub fn size(&self) -> u64 {
        let sizes = self
            .as_slice()
            .iter()
            .map(|region| region.end - region.start);
        sizes.fold(0, u64::saturating_add)
    }

    /// Checks that `digest`, the SHA-256 of the regions, is recorded in the purgatory.
    ///
    /// # Errors
    ///
    /// Returns [`Mismatch`]. Which region has changed nobody can tell, as one digest is of all of them.
    pub fn check(
        &self,
        memory: &impl GuestMemory,
        digest: [u8; DIGEST_SIZE],
    ) -> Result<(), Mismatch> {
        let expected = words(digest);
        let last = self.purgatory.end.saturating_sub(DIGEST_SIZE as u64);
        let mut places = (self.purgatory.start..=last).step_by(8);
        if places.any(|at| read(memory, at) == Some(expected)) {
            return Ok(());
        }
        Err(Mismatch {
            found: digest,
            recorded: self.behind_table(memory).map(bytes),
            regions: self.count,
            size: self.size(),
        })
    }

    /// Returns what is behind the table, where the digest is in kexec-tools as Debian compiles them.
    fn behind_table(&self, memory: &impl GuestMemory) -> Option<[u64; DIGEST_SIZE / 8]> {
        let at = self.table + table::SIZE;
        let inside = at + DIGEST_SIZE as u64 <= self.purgatory.end;
        inside.then(|| read(memory, at)).flatten()
    }
}

/// Returns whether `segment` is an arm64 kernel.
fn is_kernel(memory: &impl GuestMemory, segment: &Segment) -> bool {
    let magic = MAGIC_OFFSET as u64;
    let has_header = segment.size >= magic + 8;
    let word = |at| memory.read_u64(at).map(|word| word as u32);
    has_header && word(segment.start + magic) == Some(MAGIC)
}

/// Reads a digest's size of words.
fn read(memory: &impl GuestMemory, at: u64) -> Option<[u64; DIGEST_SIZE / 8]> {
    let mut words = [0; DIGEST_SIZE / 8];
    for (at, word) in (at..).step_by(8).zip(&mut words) {
        *word = memory.read_u64(at)?;
    }
    Some(words)
}

fn words(digest: [u8; DIGEST_SIZE]) -> [u64; DIGEST_SIZE / 8] {
    let mut words = [0; DIGEST_SIZE / 8];
    for (word, bytes) in words.iter_mut().zip(digest.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

fn bytes(words: [u64; DIGEST_SIZE / 8]) -> [u8; DIGEST_SIZE] {
    let mut digest = [0; DIGEST_SIZE];
    for (bytes, word) in digest.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    digest
}
