// SPDX-License-Identifier: Apache-2.0
//! Reads the header of an arm64 Image, its first 64 bytes (Linux
//! `Documentation/arch/arm64/booting.rst`, section 4).

use crate::little_endian::{u32_at, u64_at};
use core::fmt;
use thiserror::Error;

/// Size of the header in bytes.
pub const HEADER_SIZE: usize = 64;
/// `"ARM\x64"`, the word at [`MAGIC_OFFSET`].
pub const MAGIC: u32 = u32::from_le_bytes(*b"ARM\x64");
/// Offset of the magic number in the header, in bytes.
pub const MAGIC_OFFSET: usize = 56;

/// An Image is loaded `text_offset` bytes above a multiple of this.
const PLACEMENT: u64 = 0x20_0000;
/// `text_offset` is a multiple of this, the smallest page.
const PAGE: u64 = 0x1000;

/// The page size of a kernel, which is also the page size of its kexec lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageSize {
    /// 4 KiB.
    Size4K,
    /// 16 KiB.
    Size16K,
    /// 64 KiB.
    Size64K,
}

impl PageSize {
    /// Returns the size in bytes.
    pub const fn bytes(self) -> u64 {
        1 << self.shift()
    }

    /// Returns how many whole pages `size` bytes are.
    pub const fn pages(self, size: u64) -> u64 {
        size >> self.shift()
    }

    const fn shift(self) -> u32 {
        match self {
            Self::Size4K => 12,
            Self::Size16K => 14,
            Self::Size64K => 16,
        }
    }
}

/// The format of a packed kernel where an Image was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// LZ4, frame or legacy format.
    Lz4,
    /// The .xz format.
    Xz,
    /// LZMA alone.
    Lzma,
    /// bzip2.
    Bzip2,
    /// An EFI application that unpacks the kernel (`CONFIG_EFI_ZBOOT`).
    EfiZboot,
}

impl Packing {
    /// Returns the format that `bytes` begin as; `None` if it is none of these.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        const MAGICS: [(&[u8], Packing); 8] = [
            (b"\x1f\x8b", Packing::Gzip),
            (b"\x28\xb5\x2f\xfd", Packing::Zstd),
            (b"\x04\x22\x4d\x18", Packing::Lz4),
            (b"\x02\x21\x4c\x18", Packing::Lz4),
            (b"\xfd7zXZ\0", Packing::Xz),
            (b"\x5d\0\0", Packing::Lzma),
            (b"BZh", Packing::Bzip2),
            (b"MZ\0\0zimg", Packing::EfiZboot),
        ];
        MAGICS
            .iter()
            .find(|(magic, _)| bytes.starts_with(magic))
            .map(|&(_, packing)| packing)
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
            Self::Lzma => "lzma",
            Self::Bzip2 => "bzip2",
            Self::EfiZboot => "EFI zboot",
        })
    }
}

/// Why bytes are not the header of a kernel that can be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    /// Fewer bytes than a header has.
    #[error("{0} bytes are too few for an arm64 Image header")]
    TooShort(usize),
    /// The kernel must be unpacked first.
    #[error("the kernel is packed ({0}), a raw arm64 Image is needed")]
    Packed(Packing),
    /// Neither an Image nor a packed kernel. Holds the word at [`MAGIC_OFFSET`].
    #[error("no arm64 Image header: {0:#010x} in place of its magic number")]
    NoMagic(u32),
    /// Linux before 3.17 left the size out: how much memory such an Image needs is not known.
    #[error("the Image header gives no image_size")]
    NoSize,
    /// The file is larger than the memory that its header asks for.
    #[error("image_size {image_size:#x} is smaller than the file, {file_size:#x} bytes")]
    SizeBelowFile {
        /// What the header says, in bytes.
        image_size: u64,
        /// Size of the file in bytes.
        file_size: u64,
    },
    /// The size is larger than the physical address space.
    #[error("image_size {0:#x} is larger than 2^52 bytes")]
    SizeAbsurd(u64),
    /// The offset is not a multiple of 4 KiB below 2 MiB.
    #[error("text_offset {0:#x} is not a multiple of 4 KiB below 2 MiB")]
    TextOffset(u64),
    /// The kernel would run big-endian.
    #[error("the Image is big-endian (flags {0:#x})")]
    BigEndian(u64),
    /// The header's branch does not lead into the Image. Holds the distance from its start in
    /// bytes.
    #[error("the Image header branches outside the Image, to offset {0:#x}")]
    BranchOutside(i64),
}

/// The checked header of an arm64 Image. Sizes and offsets are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    text_offset: u64,
    image_size: u64,
    flags: u64,
    branch: Option<u64>,
}

impl ImageHeader {
    /// Reads the header that `bytes` begin with. Bytes behind it do not matter.
    ///
    /// # Errors
    ///
    /// Returns [`ImageError`] if there is no header, or it is that of a kernel that cannot be
    /// entered.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let otherwise = |error| Err(Packing::detect(bytes).map_or(error, ImageError::Packed));
        let Some(header) = bytes.first_chunk::<HEADER_SIZE>() else {
            return otherwise(ImageError::TooShort(bytes.len()));
        };
        let word = |at| u32_at(header, at).unwrap_or(0);
        let long = |at| u64_at(header, at).unwrap_or(0);
        let magic = word(MAGIC_OFFSET);
        if magic != MAGIC {
            return otherwise(ImageError::NoMagic(magic));
        }
        let (text_offset, image_size, flags) = (long(8), long(16), long(24));
        match image_size {
            0 => return Err(ImageError::NoSize),
            // 52 bits of physical address (DDI 0487, FEAT_LPA).
            size if size > 1 << 52 => return Err(ImageError::SizeAbsurd(size)),
            _ => {}
        }
        if text_offset >= PLACEMENT || !text_offset.is_multiple_of(PAGE) {
            return Err(ImageError::TextOffset(text_offset));
        }
        if flags & 1 != 0 {
            return Err(ImageError::BigEndian(flags));
        }
        let branch = match branch(word(0), word(4)) {
            None => None,
            Some(target) => match u64::try_from(target) {
                Ok(offset) if offset < image_size => Some(offset),
                _ => return Err(ImageError::BranchOutside(target)),
            },
        };
        Ok(Self {
            text_offset,
            image_size,
            flags,
            branch,
        })
    }

    /// Reads the header of a kernel's whole file, and checks that the file fits into the memory
    /// that the header asks for.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`parse`](Self::parse), or [`ImageError::SizeBelowFile`].
    pub fn parse_file(file: &[u8]) -> Result<Self, ImageError> {
        let header = Self::parse(file)?;
        let file_size = file.len() as u64;
        if header.image_size < file_size {
            return Err(ImageError::SizeBelowFile {
                image_size: header.image_size,
                file_size,
            });
        }
        Ok(header)
    }

    /// Returns the distance of the Image from a multiple of 2 MiB, in bytes.
    pub const fn text_offset(&self) -> u64 {
        self.text_offset
    }

    /// Returns how many bytes of memory the kernel needs from its first byte on, with its zeroed
    /// data.
    pub const fn image_size(&self) -> u64 {
        self.image_size
    }

    /// Returns the kernel's page size; `None` if the header does not say it.
    pub const fn page_size(&self) -> Option<PageSize> {
        match self.flags >> 1 & 3 {
            1 => Some(PageSize::Size4K),
            2 => Some(PageSize::Size16K),
            3 => Some(PageSize::Size64K),
            _ => None,
        }
    }

    /// Returns whether the Image may be loaded anywhere in memory, rather than near the start of
    /// memory.
    pub const fn placed_anywhere(&self) -> bool {
        self.flags >> 3 & 1 != 0
    }

    /// Returns the offset in bytes that the header's branch leads to: `primary_entry` in Linux.
    /// `None` if neither of the header's two instructions is a branch.
    pub const fn primary_entry_offset(&self) -> Option<u64> {
        self.branch
    }
}

/// Returns where the `b` among the first two instructions leads, as a distance from the first in
/// bytes.
fn branch(code0: u32, code1: u32) -> Option<i64> {
    // With an EFI stub the first instruction is one that spells "MZ" and does nothing.
    let (at, code) = if code0 & 0xffff == u32::from(u16::from_le_bytes(*b"MZ")) {
        (4, code1)
    } else {
        (0, code0)
    };
    (code & 0xfc00_0000 == 0x1400_0000).then(|| at + i64::from((code << 6) as i32 >> 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CCMP_MZ: u32 = 0xfa40_5a4d;

    fn header(code: [u32; 2], text_offset: u64, image_size: u64, flags: u64) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..4].copy_from_slice(&code[0].to_le_bytes());
        bytes[4..8].copy_from_slice(&code[1].to_le_bytes());
        bytes[8..16].copy_from_slice(&text_offset.to_le_bytes());
        bytes[16..24].copy_from_slice(&image_size.to_le_bytes());
        bytes[24..32].copy_from_slice(&flags.to_le_bytes());
        bytes[56..60].copy_from_slice(b"ARM\x64");
        bytes
    }

    #[test]
    fn reads_every_field() {
        let parsed =
            ImageHeader::parse(&header([CCMP_MZ, 0x1400_0100], 0x8_0000, 0x200_0000, 0xa)).unwrap();
        assert_eq!(parsed.text_offset(), 0x8_0000);
        assert_eq!(parsed.image_size(), 0x200_0000);
        assert_eq!(parsed.page_size(), Some(PageSize::Size4K));
        assert!(parsed.placed_anywhere());
        assert_eq!(
            parsed.primary_entry_offset(),
            Some(0x404),
            "the branch stands in code1, 4 bytes in"
        );
    }

    #[test]
    fn knows_the_page_sizes() {
        for (flags, expected) in [
            (0, None),
            (2, Some(PageSize::Size4K)),
            (4, Some(PageSize::Size16K)),
            (6, Some(PageSize::Size64K)),
        ] {
            let seen = ImageHeader::parse(&header([0, 0], 0, 0x1000, flags))
                .unwrap()
                .page_size();
            assert_eq!(seen, expected, "flags {flags:#x}");
        }
        assert_eq!(
            [PageSize::Size4K, PageSize::Size16K, PageSize::Size64K].map(PageSize::bytes),
            [4096, 16384, 65536]
        );
    }

    #[test]
    fn finds_the_branch_without_efi_stub() {
        let entry = |code| {
            ImageHeader::parse(&header(code, 0, 0x10000, 0)).map(|h| h.primary_entry_offset())
        };
        assert_eq!(entry([0x1400_0010, 0]), Ok(Some(0x40)));
        assert_eq!(
            entry([0xd503_201f, 0x1400_0010]),
            Ok(None),
            "only behind \"MZ\" is code1 the branch"
        );
        assert_eq!(entry([0x17ff_ffff, 0]), Err(ImageError::BranchOutside(-4)));
        assert_eq!(
            entry([CCMP_MZ, 0x1400_4000]),
            Err(ImageError::BranchOutside(0x10004))
        );
    }

    #[test]
    fn refuses_a_header_that_lies() {
        let parse = |text_offset, size, flags| {
            ImageHeader::parse(&header([0, 0], text_offset, size, flags))
        };
        assert_eq!(parse(0, 0, 0), Err(ImageError::NoSize));
        assert_eq!(parse(0, u64::MAX, 0), Err(ImageError::SizeAbsurd(u64::MAX)));
        assert_eq!(
            parse(0x20_0000, 0x1000, 0),
            Err(ImageError::TextOffset(0x20_0000))
        );
        assert_eq!(
            parse(0x8_0004, 0x1000, 0),
            Err(ImageError::TextOffset(0x8_0004))
        );
        assert_eq!(parse(0, 0x1000, 3), Err(ImageError::BigEndian(3)));
        let mut file = header([0, 0], 0, 0x41, 0).to_vec();
        file.push(0);
        assert!(ImageHeader::parse_file(&file).is_ok());
        file.push(0);
        let error = ImageHeader::parse_file(&file).unwrap_err();
        assert_eq!(
            error,
            ImageError::SizeBelowFile {
                image_size: 0x41,
                file_size: 0x42
            }
        );
        assert_eq!(
            error.to_string(),
            "image_size 0x41 is smaller than the file, 0x42 bytes"
        );
    }

    #[test]
    fn names_what_is_not_an_image() {
        let parse = |start: &[u8]| {
            let mut bytes = [0; 64];
            bytes[..start.len()].copy_from_slice(start);
            ImageHeader::parse(&bytes).unwrap_err()
        };
        for (start, packing, name) in [
            (&b"\x1f\x8b\x08"[..], Packing::Gzip, "gzip"),
            (b"\x28\xb5\x2f\xfd", Packing::Zstd, "zstd"),
            (b"\x02\x21\x4c\x18", Packing::Lz4, "lz4"),
            (b"\x04\x22\x4d\x18", Packing::Lz4, "lz4"),
            (b"\xfd7zXZ\0", Packing::Xz, "xz"),
            (b"\x5d\0\0\x80", Packing::Lzma, "lzma"),
            (b"BZh9", Packing::Bzip2, "bzip2"),
            (b"MZ\0\0zimg\0\0\0\0", Packing::EfiZboot, "EFI zboot"),
        ] {
            let error = parse(start);
            assert_eq!(error, ImageError::Packed(packing), "{start:x?}");
            assert_eq!(
                error.to_string(),
                format!("the kernel is packed ({name}), a raw arm64 Image is needed")
            );
        }
        assert_eq!(parse(b"\x7fELF"), ImageError::NoMagic(0));
        assert_eq!(ImageHeader::parse(&[0; 63]), Err(ImageError::TooShort(63)));
        assert_eq!(ImageHeader::parse(&[]), Err(ImageError::TooShort(0)));
    }
}
