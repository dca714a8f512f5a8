// SPDX-License-Identifier: Apache-2.0
//! The 64 bytes in front of an arm64 kernel (Linux `Documentation/arch/arm64/booting.rst`,
//! section 4).

use super::bytes::{u32_at, u64_at};
use core::fmt;
use thiserror::Error;

/// Size of the header in bytes.
pub const HEADER_SIZE: usize = 64;
/// `"ARM\x64"`, the word at [`MAGIC_OFFSET`].
pub const MAGIC: u32 = u32::from_le_bytes(*b"ARM\x64");
/// Where the magic stands, in bytes from the start.
pub const MAGIC_OFFSET: usize = 56;

/// An Image is put `text_offset` bytes above a multiple of this.
const PLACEMENT: u64 = 0x20_0000;
/// The granule of `text_offset`: the smallest page.
const PAGE: u64 = 0x1000;

/// A translation granule of the kernel, which is also the page of its kexec lists.
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
    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        1 << self.shift()
    }

    /// How many such pages fit into `size` bytes.
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

/// What stands where an Image was expected, known by its first bytes.
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
    /// Names the format that `bytes` begin with.
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

/// Why some bytes are not a kernel that can be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    /// Fewer bytes than a header has.
    #[error("{0} bytes are too few for an arm64 Image header")]
    TooShort(usize),
    /// The kernel must be unpacked first.
    #[error("the kernel is packed ({0}), a raw arm64 Image is needed")]
    Packed(Packing),
    /// No Image, and nothing else that is known. Holds the word where the magic should stand.
    #[error("no arm64 Image header: {0:#010x} where the magic should stand")]
    NoMagic(u32),
    /// Linux before 3.17 left the size out; what such an Image needs cannot be known.
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
    /// More than the address space has.
    #[error("image_size {0:#x} is absurd")]
    SizeAbsurd(u64),
    /// Not a multiple of 4 KiB below 2 MiB.
    #[error("text_offset {0:#x} is absurd")]
    TextOffset(u64),
    /// The kernel would run big-endian.
    #[error("the Image is big-endian (flags {0:#x})")]
    BigEndian(u64),
    /// The header's branch does not lead into the Image. Holds the distance from its start in bytes.
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
    /// Reads the header that `bytes` begin with; what lies behind it is not looked at.
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

    /// Reads the header of a kernel that is there as a whole file, and checks that the memory it
    /// asks for holds the file.
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

    /// Distance of the Image from a multiple of 2 MiB.
    pub const fn text_offset(&self) -> u64 {
        self.text_offset
    }

    /// Memory that the kernel needs from its first byte on, its zeroed data included.
    pub const fn image_size(&self) -> u64 {
        self.image_size
    }

    /// The kernel's page, or `None` if it does not say.
    pub const fn page_size(&self) -> Option<PageSize> {
        match self.flags >> 1 & 3 {
            1 => Some(PageSize::Size4K),
            2 => Some(PageSize::Size16K),
            3 => Some(PageSize::Size64K),
            _ => None,
        }
    }

    /// Whether the Image may lie anywhere in memory, rather than near its start.
    pub const fn placed_anywhere(&self) -> bool {
        self.flags >> 3 & 1 != 0
    }

    /// Offset that the header's branch leads to: `primary_entry` in Linux. `None` if neither of the
    /// header's two instructions is a branch.
    pub const fn primary_entry_offset(&self) -> Option<u64> {
        self.branch
    }
}

/// Where the `b` among the first two instructions leads, as a distance from the first.
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
        for (start, packing) in [
            (&b"\x1f\x8b\x08"[..], Packing::Gzip),
            (b"\x28\xb5\x2f\xfd", Packing::Zstd),
            (b"\x02\x21\x4c\x18", Packing::Lz4),
            (b"\x04\x22\x4d\x18", Packing::Lz4),
            (b"\xfd7zXZ\0", Packing::Xz),
            (b"\x5d\0\0\x80", Packing::Lzma),
            (b"BZh9", Packing::Bzip2),
            (b"MZ\0\0zimg\0\0\0\0", Packing::EfiZboot),
        ] {
            assert_eq!(parse(start), ImageError::Packed(packing), "{start:x?}");
        }
        let named = [
            (Packing::Gzip, "gzip"),
            (Packing::Zstd, "zstd"),
            (Packing::Lz4, "lz4"),
            (Packing::Xz, "xz"),
            (Packing::Lzma, "lzma"),
            (Packing::Bzip2, "bzip2"),
            (Packing::EfiZboot, "EFI zboot"),
        ];
        for (packing, name) in named {
            assert_eq!(
                ImageError::Packed(packing).to_string(),
                format!("the kernel is packed ({name}), a raw arm64 Image is needed")
            );
        }
        assert_eq!(parse(b"\x7fELF"), ImageError::NoMagic(0));
        assert_eq!(ImageHeader::parse(&[0; 63]), Err(ImageError::TooShort(63)));
        assert_eq!(ImageHeader::parse(&[]), Err(ImageError::TooShort(0)));
    }
}
