// SPDX-License-Identifier: Apache-2.0
//! The header of a dump, which `kexec -p` or the kernel writes into a segment of its own, and
//! `/proc/vmcore` is made from (`elfcorehdr`): an ELF core file without contents.
//!
//! Its program headers say where the contents are: a PT_NOTE for each present CPU's registers
//! (`crash_notes`), one for VMCOREINFO, and a PT_LOAD for each range of RAM (kexec-tools
//! `kexec/crashdump-elf.c`, Linux `crash_prepare_elf64_headers()`).

mod error;
#[cfg(test)]
mod tests;

pub use error::CoreHeaderError;

use super::prstatus;
use crate::linux::kimage::Segment;
use crate::linux::ranges::Range;
use crate::memory::guest_memory::GuestMemory;

/// How many CPUs' notes a header can have.
pub const MAX_NOTES: usize = 1024;
/// How many program headers are read: those notes, VMCOREINFO, and RAM in as many ranges.
pub const MAX_HEADERS: u64 = 4096;

/// Sizes and places in a 64-bit ELF file (gABI, "ELF Header" and "Program Header").
const FILE_HEADER: u64 = 64;
const PROGRAM_HEADER: u64 = 56;
/// Bits 55:0 of the first word: magic number, ELFCLASS64, ELFDATA2LSB, EV_CURRENT.
const IDENTITY: u64 = u64::from_le_bytes([0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
const IDENTITY_MASK: u64 = u64::MAX >> 8;
/// The word at 0x10: ET_CORE, EM_AARCH64, EV_CURRENT.
const KIND_AT: u64 = 0x10;
const KIND: u64 = 1 << 32 | 183 << 16 | 4;
const TABLE_AT: u64 = 0x20;
/// The words with `e_phentsize`, bits 63:48 of it, and `e_phnum`, bits 15:0 of the next.
const ENTRY_SIZE_AT: u64 = 0x30;
const ENTRIES_AT: u64 = 0x38;

/// Of a program header.
const TYPE_AT: u64 = 0;
const OFFSET_AT: u64 = 0x08;
const VIRTUAL_AT: u64 = 0x10;
const ADDRESS_AT: u64 = 0x18;
const FILE_SIZE_AT: u64 = 0x20;
const SIZE_AT: u64 = 0x28;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;

/// A range of RAM of the kernel that crashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Its physical addresses.
    pub range: Range,
    /// The virtual address of its first byte.
    pub address: u64,
}

/// What the header of a dump says. It has about 8 KiB, and can be in a `static`.
#[derive(Debug)]
pub struct CoreHeader {
    /// The number of its segment.
    segment: usize,
    table: u64,
    entries: u64,
    /// Physical addresses, in ascending order.
    notes: [u64; MAX_NOTES],
    count: usize,
    vmcoreinfo: Option<Range>,
}

impl Default for CoreHeader {
    fn default() -> Self {
        Self::new()
    }
}

/// A program header, with nothing checked.
struct Entry {
    kind: u32,
    offset: u64,
    virtual_address: u64,
    address: u64,
    file_size: u64,
    size: u64,
}

impl CoreHeader {
    /// Returns the header of no dump.
    pub const fn new() -> Self {
        Self {
            segment: 0,
            table: 0,
            entries: 0,
            notes: [0; MAX_NOTES],
            count: 0,
            vmcoreinfo: None,
        }
    }

    /// Reads the header among the segments of a crash image, which are in place, and checks all of it:
    /// a note may be written afterwards.
    ///
    /// # Errors
    ///
    /// Returns [`CoreHeaderError`]; then there are no notes.
    pub fn read(
        &mut self,
        memory: &impl GuestMemory,
        segments: &[Segment],
    ) -> Result<(), CoreHeaderError> {
        (self.count, self.vmcoreinfo) = (0, None);
        let result = self.read_all(memory, segments);
        if result.is_err() {
            (self.count, self.entries) = (0, 0);
        }
        result
    }

    /// Returns the physical addresses of the CPUs' notes in ascending order, each a multiple of 8, with
    /// [`prstatus::SIZE`] bytes of guest memory.
    pub fn notes(&self) -> &[u64] {
        self.notes.get(..self.count).unwrap_or_default()
    }

    /// Returns the number of its segment.
    pub const fn segment(&self) -> usize {
        self.segment
    }

    /// Returns where VMCOREINFO is, if there is one.
    pub const fn vmcoreinfo(&self) -> Option<Range> {
        self.vmcoreinfo
    }

    /// Returns the ranges of RAM that the dump has. Whose RAM they are is not checked.
    pub fn loads<'a>(&'a self, memory: &'a impl GuestMemory) -> impl Iterator<Item = Load> + 'a {
        let entries = (0..self.entries).filter_map(|number| self.entry(memory, number).ok());
        entries.filter_map(|entry| {
            let end = entry.address.checked_add(entry.size)?;
            (entry.kind == PT_LOAD).then_some(Load {
                range: Range {
                    start: entry.address,
                    end,
                },
                address: entry.virtual_address,
            })
        })
    }

    fn read_all(
        &mut self,
        memory: &impl GuestMemory,
        segments: &[Segment],
    ) -> Result<(), CoreHeaderError> {
        self.find(memory, segments)?;
        let mut last = None;
        for number in 0..self.entries {
            let entry = self.entry(memory, number)?;
            let Some(end) = entry.address.checked_add(entry.size) else {
                return Err(CoreHeaderError::Wraps {
                    number,
                    address: entry.address,
                    size: entry.size,
                });
            };
            if entry.kind != PT_NOTE {
                continue;
            }
            // VMCOREINFO comes last, and is of another size.
            if let Some((number, size)) = last {
                return Err(CoreHeaderError::NoteSize { number, size });
            }
            if entry.offset != entry.address || entry.file_size != entry.size {
                return Err(CoreHeaderError::NoteTwice {
                    number,
                    address: entry.address,
                    offset: entry.offset,
                });
            }
            if entry.size == prstatus::SIZE as u64 {
                self.add_note(memory, segments, number, entry.address)?;
            } else {
                last = Some((number, entry.size));
                self.vmcoreinfo = Some(Range {
                    start: entry.address,
                    end,
                });
            }
        }
        self.sort()
    }

    /// Finds the segment, and the table in it.
    fn find(
        &mut self,
        memory: &impl GuestMemory,
        segments: &[Segment],
    ) -> Result<(), CoreHeaderError> {
        let mut found = None;
        for (number, segment) in segments.iter().enumerate() {
            if !begins_header(memory, segment) {
                continue;
            }
            if let Some((first, _)) = found.replace((number, segment)) {
                return Err(CoreHeaderError::Several {
                    first,
                    second: number,
                });
            }
        }
        let (number, segment) = found.ok_or(CoreHeaderError::NoHeader)?;
        let Segment { start, size, .. } = *segment;
        if !memory.contains(start, size) {
            return Err(CoreHeaderError::SegmentOutside { start, size });
        }
        // All of the file's header is in the segment, or it would not have been found.
        let word = |offset| {
            let at = start + offset;
            memory.read_u64(at).ok_or(CoreHeaderError::Unreadable(at))
        };
        let entry_size = word(ENTRY_SIZE_AT)? >> 48;
        if entry_size & 0xffff != PROGRAM_HEADER {
            return Err(CoreHeaderError::EntrySize(entry_size));
        }
        let (offset, entries) = (word(TABLE_AT)?, word(ENTRIES_AT)? & 0xffff);
        if entries > MAX_HEADERS {
            return Err(CoreHeaderError::Headers(entries));
        }
        let end = offset.checked_add(entries * PROGRAM_HEADER);
        if offset < FILE_HEADER || !offset.is_multiple_of(8) || end.is_none_or(|end| end > size) {
            return Err(CoreHeaderError::TableOutside {
                offset,
                entries,
                size,
            });
        }
        (self.segment, self.table, self.entries) = (number, start + offset, entries);
        Ok(())
    }

    /// Returns program header `number`.
    fn entry(&self, memory: &impl GuestMemory, number: u64) -> Result<Entry, CoreHeaderError> {
        let word = |offset| {
            let at = self.table + number * PROGRAM_HEADER + offset;
            memory.read_u64(at).ok_or(CoreHeaderError::Unreadable(at))
        };
        Ok(Entry {
            kind: word(TYPE_AT)? as u32,
            offset: word(OFFSET_AT)?,
            virtual_address: word(VIRTUAL_AT)?,
            address: word(ADDRESS_AT)?,
            file_size: word(FILE_SIZE_AT)?,
            size: word(SIZE_AT)?,
        })
    }

    /// Checks the place of a CPU's note, and takes it in.
    fn add_note(
        &mut self,
        memory: &impl GuestMemory,
        segments: &[Segment],
        number: u64,
        address: u64,
    ) -> Result<(), CoreHeaderError> {
        if !address.is_multiple_of(8) {
            return Err(CoreHeaderError::NoteUnaligned { number, address });
        }
        if !memory.contains(address, prstatus::SIZE as u64) {
            return Err(CoreHeaderError::NoteOutside { number, address });
        }
        let end = address + prstatus::SIZE as u64;
        let overlaps = |segment: &Segment| {
            address < segment.start.saturating_add(segment.size) && segment.start < end
        };
        if let Some(segment) = segments.iter().position(overlaps) {
            return Err(CoreHeaderError::NoteOnSegment {
                number,
                address,
                segment,
            });
        }
        let note = self.notes.get_mut(self.count);
        *note.ok_or(CoreHeaderError::Notes)? = address;
        self.count += 1;
        Ok(())
    }

    /// Sorts the notes, of which there has to be one, and none may overlap another.
    fn sort(&mut self) -> Result<(), CoreHeaderError> {
        let notes = self.notes.get_mut(..self.count).unwrap_or_default();
        notes.sort_unstable();
        if notes.is_empty() {
            return Err(CoreHeaderError::NoNotes);
        }
        for pair in notes.windows(2) {
            if let [first, second] = *pair
                && second - first < prstatus::SIZE as u64
            {
                return Err(CoreHeaderError::NotesOverlap { first, second });
            }
        }
        Ok(())
    }
}

/// Returns whether the header of an arm64 kernel's dump begins at the start of `segment`.
fn begins_header(memory: &impl GuestMemory, segment: &Segment) -> bool {
    let Segment { start, size, .. } = *segment;
    if size < FILE_HEADER || !start.is_multiple_of(8) || !memory.contains(start, FILE_HEADER) {
        return false;
    }
    let word = |offset| memory.read_u64(start + offset);
    word(0).is_some_and(|word| word & IDENTITY_MASK == IDENTITY) && word(KIND_AT) == Some(KIND)
}
