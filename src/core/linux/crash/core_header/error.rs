// SPDX-License-Identifier: Apache-2.0
//! Why the header of a dump is refused.

use super::{MAX_HEADERS, MAX_NOTES};
use thiserror::Error;

/// Why the header of a dump is refused. `number` counts program headers from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CoreHeaderError {
    /// No segment begins with the header of an arm64 kernel's dump.
    #[error("no segment is an elfcorehdr")]
    NoHeader,
    /// Two segments do.
    #[error("segments {first} and {second} are both an elfcorehdr")]
    Several {
        /// The number of the first one.
        first: usize,
        /// The number of the next one.
        second: usize,
    },
    /// Not all of the segment is in guest memory.
    #[error("elfcorehdr: {start:#x} with {size:#x} bytes is not in guest memory")]
    SegmentOutside {
        /// Its physical address.
        start: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// A word of the segment cannot be read.
    #[error("elfcorehdr: {0:#x} cannot be read")]
    Unreadable(u64),
    /// Program headers are not of 56 bytes.
    #[error("elfcorehdr: program headers of {0} bytes")]
    EntrySize(u64),
    /// There are more than [`MAX_HEADERS`] program headers.
    #[error("elfcorehdr: {0} program headers, of which {MAX_HEADERS} are read at most")]
    Headers(u64),
    /// The table is not in its segment behind the header, or not aligned to 8 bytes.
    #[error("elfcorehdr: {entries} program headers at offset {offset:#x} of {size:#x} bytes")]
    TableOutside {
        /// Where it begins, from the start of the segment.
        offset: u64,
        /// How many program headers it has.
        entries: u64,
        /// Size of the segment in bytes.
        size: u64,
    },
    /// A range wraps around at 64 bits.
    #[error("elfcorehdr: program header {number}, {address:#x} with {size:#x} bytes, wraps around")]
    Wraps {
        /// The number of its program header.
        number: u64,
        /// Its physical address.
        address: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// A note other than the last one, VMCOREINFO, is not of the size of a CPU's.
    #[error("elfcorehdr: program header {number} is a note of {size:#x} bytes before the last")]
    NoteSize {
        /// The number of its program header.
        number: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// A note's offset, by which it is read, is not its address, or its sizes differ.
    #[error("elfcorehdr: program header {number}, a note, is at {address:#x} and {offset:#x}")]
    NoteTwice {
        /// The number of its program header.
        number: u64,
        /// Its physical address.
        address: u64,
        /// Its offset.
        offset: u64,
    },
    /// A CPU's note is not aligned to 8 bytes.
    #[error("elfcorehdr: program header {number}, a note at {address:#x}, is not aligned")]
    NoteUnaligned {
        /// The number of its program header.
        number: u64,
        /// Its physical address.
        address: u64,
    },
    /// A CPU's note is not in guest memory, of which the monitor's memory is no part.
    #[error("elfcorehdr: program header {number}, a note at {address:#x}, is not in guest memory")]
    NoteOutside {
        /// The number of its program header.
        number: u64,
        /// Its physical address.
        address: u64,
    },
    /// A CPU's note is where the crash image is.
    #[error("elfcorehdr: program header {number}, a note at {address:#x}, is in segment {segment}")]
    NoteOnSegment {
        /// The number of its program header.
        number: u64,
        /// Its physical address.
        address: u64,
        /// The number of the segment.
        segment: usize,
    },
    /// Two CPUs' notes overlap.
    #[error("elfcorehdr: the notes at {first:#x} and {second:#x} overlap")]
    NotesOverlap {
        /// The physical address of the lower one.
        first: u64,
        /// The physical address of the other one.
        second: u64,
    },
    /// There are more than [`MAX_NOTES`] CPUs' notes.
    #[error("elfcorehdr: more than {MAX_NOTES} notes of CPUs")]
    Notes,
    /// There is no CPU's note.
    #[error("elfcorehdr: no note of a CPU")]
    NoNotes,
}
