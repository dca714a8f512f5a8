// SPDX-License-Identifier: Apache-2.0
//! Reads `struct kimage`, which a kernel has prepared for its kexec (Linux
//! `include/linux/kexec.h`). Its first fields have been the same from 5.10 to 7.3.

use crate::memory::guest_memory::GuestMemory;
use baton_abi::IND_DONE;
use thiserror::Error;

/// How many segments Linux allows (`KEXEC_SEGMENT_MAX`).
pub const MAX_SEGMENTS: usize = 16;

/// Bytes of the structure that are read.
const SIZE: u64 = SEGMENTS + SEGMENT_SIZE * MAX_SEGMENTS as u64;
const HEAD: u64 = 0;
const START: u64 = 0x18;
const NR_SEGMENTS: u64 = 0x38;
const SEGMENTS: u64 = 0x40;
const SEGMENT_SIZE: u64 = 0x20;
const SEGMENT_BUFSZ: u64 = 0x8;
const SEGMENT_MEM: u64 = 0x10;
const SEGMENT_MEMSZ: u64 = 0x18;

/// Why there is no `kimage` at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KimageError {
    /// The address is not a multiple of 8.
    #[error("the kimage at {0:#x} is not aligned to 8 bytes")]
    Unaligned(u64),
    /// Not all of the structure is in guest memory.
    #[error("the kimage at {0:#x} is not in guest memory")]
    Outside(u64),
    /// The number of segments is not between 1 and [`MAX_SEGMENTS`].
    #[error("the kimage has {0} segments")]
    Segments(u64),
    /// The image of a crash kernel has a list of pages, where nothing is left to copy.
    #[error("the crash kimage has a list of pages, {0:#x}")]
    Listed(u64),
    /// The crash kernel's entry is in none of its segments.
    #[error("the crash kimage begins at {0:#x}, in none of its segments")]
    Entry(u64),
}

/// A part of what the next kernel finds in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Size of its file in bytes (`bufsz`).
    pub file_size: u64,
    /// Physical address that it is copied to (`mem`).
    pub start: u64,
    /// Size in memory in bytes, with zeroes behind the file (`memsz`).
    pub size: u64,
}

/// The fields of a `struct kimage` that the monitor uses. Their values are not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kimage {
    address: u64,
    head: u64,
    start: u64,
    count: usize,
    segments: [Segment; MAX_SEGMENTS],
}

impl Kimage {
    /// Reads the `kimage` at physical address `address`.
    ///
    /// # Errors
    ///
    /// Returns [`KimageError`] if there can be none, or its number of segments makes no sense.
    pub fn read(memory: &impl GuestMemory, address: u64) -> Result<Self, KimageError> {
        if !address.is_multiple_of(8) {
            return Err(KimageError::Unaligned(address));
        }
        if !memory.contains(address, SIZE) {
            return Err(KimageError::Outside(address));
        }
        let read = |offset| {
            memory
                .read_u64(address + offset)
                .ok_or(KimageError::Outside(address))
        };
        let segments = read(NR_SEGMENTS)?;
        let count = match usize::try_from(segments) {
            Ok(count @ 1..=MAX_SEGMENTS) => count,
            _ => return Err(KimageError::Segments(segments)),
        };
        let mut kimage = Self {
            address,
            head: read(HEAD)?,
            start: read(START)?,
            count,
            segments: Default::default(),
        };
        for (number, segment) in (0..).zip(kimage.segments.iter_mut().take(count)) {
            let field = |offset| read(SEGMENTS + SEGMENT_SIZE * number + offset);
            *segment = Segment {
                file_size: field(SEGMENT_BUFSZ)?,
                start: field(SEGMENT_MEM)?,
                size: field(SEGMENT_MEMSZ)?,
            };
        }
        Ok(kimage)
    }

    /// Checks what is so of a crash kernel's image: all of it was put in place when it was loaded, and it begins
    /// in one of its segments.
    ///
    /// # Errors
    ///
    /// Returns [`KimageError`] if it is not.
    pub fn check_crash(&self) -> Result<(), KimageError> {
        if self.head != IND_DONE {
            return Err(KimageError::Listed(self.head));
        }
        let begins = |segment: &Segment| {
            let offset = self.start.checked_sub(segment.start);
            offset.is_some_and(|offset| offset < segment.size)
        };
        match self.segments().iter().any(begins) {
            true => Ok(()),
            false => Err(KimageError::Entry(self.start)),
        }
    }

    /// Returns the physical address of the structure; its first word is [`Self::head`].
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// Returns the entry that links to the list of pages.
    pub const fn head(&self) -> u64 {
        self.head
    }

    /// Returns the physical address that the kernel would jump to: of the purgatory, or the next
    /// kernel.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Returns the segments.
    pub fn segments(&self) -> &[Segment] {
        self.segments.get(..self.count).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::fake::Ram;

    #[test]
    fn reads_the_fields_used() {
        let ram = Ram::new();
        let at = Ram::START + 0x500;
        ram.write(at, 0x4123_4002);
        ram.write(at + 0x18, 0x4200_0000);
        ram.write(at + 0x38, 2);
        for (number, segment) in [[0x10, 0x4300_0000, 0x2000], [0x20, 0x4400_0000, 0x3000]]
            .iter()
            .enumerate()
        {
            for (field, value) in segment.iter().enumerate() {
                ram.write(at + 0x48 + 0x20 * number as u64 + 8 * field as u64, *value);
            }
        }
        let kimage = Kimage::read(&ram, at).unwrap();
        assert_eq!(
            (kimage.address(), kimage.head(), kimage.start()),
            (at, 0x4123_4002, 0x4200_0000)
        );
        assert_eq!(
            kimage.segments(),
            [
                Segment {
                    file_size: 0x10,
                    start: 0x4300_0000,
                    size: 0x2000
                },
                Segment {
                    file_size: 0x20,
                    start: 0x4400_0000,
                    size: 0x3000
                }
            ]
        );
    }

    #[test]
    fn a_crash_image_is_in_place_and_begins_in_a_segment() {
        let ram = Ram::new();
        let at = Ram::START;
        let check = |head: u64, start: u64| {
            ram.write(at, head);
            ram.write(at + START, start);
            Kimage::read(&ram, at).unwrap().check_crash()
        };
        ram.write(at + NR_SEGMENTS, 1);
        ram.write(at + SEGMENTS + SEGMENT_MEM, 0x4300_0000);
        ram.write(at + SEGMENTS + SEGMENT_MEMSZ, 0x2000);
        for start in [0x4300_0000, 0x4300_1fff] {
            assert_eq!(check(4, start), Ok(()), "{start:#x}");
        }
        for start in [0x42ff_ffff, 0x4300_2000, 0, u64::MAX] {
            assert_eq!(check(4, start), Err(KimageError::Entry(start)));
        }
        for head in [0, 5, 0x4123_4002, 0x4123_4004, u64::MAX] {
            assert_eq!(check(head, 0x4300_0000), Err(KimageError::Listed(head)));
        }
    }

    #[test]
    fn refuses_what_is_none() {
        let ram = Ram::new();
        let at = Ram::START;
        assert_eq!(
            Kimage::read(&ram, at + 4),
            Err(KimageError::Unaligned(at + 4))
        );
        for outside in [
            0,
            Ram::START - 8,
            Ram::END - 0x238,
            Ram::MONITOR,
            Ram::MONITOR - 0x238,
            u64::MAX - 7,
        ] {
            assert_eq!(
                Kimage::read(&ram, outside),
                Err(KimageError::Outside(outside)),
                "{outside:#x}"
            );
        }
        for segments in [0, 17, u64::MAX] {
            ram.write(at + 0x38, segments);
            assert_eq!(Kimage::read(&ram, at), Err(KimageError::Segments(segments)));
        }
    }
}
