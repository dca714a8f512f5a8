// SPDX-License-Identifier: Apache-2.0
//! Checks the structure of a flattened device tree before it is read (Devicetree Specification
//! v0.4, chapter 5).
//!
//! `dtoolkit` panics on a malformed blob that it did not validate. Its own validation is no use
//! here: it refuses names that real trees have (Linux's bindings have properties of more than 31
//! characters), and it does not bound the depth, so that its recursion could run over a small
//! stack.

use dtoolkit::fdt::Fdt;
use thiserror::Error;

/// Deepest nesting of nodes that is accepted, the root being 1; real trees have about 10.
pub const MAX_DEPTH: usize = 32;
/// Bytes of an entry of the memory reservation block: an address and a size.
pub const RESERVATION_SIZE: usize = 16;

/// Offsets in the header, in bytes, and its size.
pub mod header {
    /// Of `totalsize`.
    pub const TOTALSIZE: usize = 4;
    /// Of `off_dt_struct`.
    pub const OFF_DT_STRUCT: usize = 8;
    /// Of `off_dt_strings`.
    pub const OFF_DT_STRINGS: usize = 12;
    /// Of `off_mem_rsvmap`.
    pub const OFF_MEM_RSVMAP: usize = 16;
    /// Of `version`.
    pub const VERSION: usize = 20;
    /// Of `last_comp_version`.
    pub const LAST_COMP_VERSION: usize = 24;
    /// Of `boot_cpuid_phys`.
    pub const BOOT_CPUID_PHYS: usize = 28;
    /// Of `size_dt_strings`.
    pub const SIZE_DT_STRINGS: usize = 32;
    /// Of `size_dt_struct`.
    pub const SIZE_DT_STRUCT: usize = 36;
    /// Its size.
    pub const SIZE: usize = 40;
}

/// The first word of a tree.
pub const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
const TAG_SIZE: usize = 4;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// What is wrong with the structure of a flattened device tree.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BlobError {
    /// It is too short for a header.
    #[error("device tree of {0} bytes has no room for a header")]
    Short(usize),
    /// It does not begin with the magic number of a device tree.
    #[error("device tree begins with {0:#010x} rather than 0xd00dfeed")]
    Magic(u32),
    /// It cannot be read as version 17.
    #[error("device tree has version {version}, readable as {last_compatible} and later")]
    Version {
        /// Its version.
        version: u32,
        /// Oldest version that it can be read as.
        last_compatible: u32,
    },
    /// Its header says that it is larger than the bytes that were given.
    #[error("device tree says that it has {said} bytes, of {given}")]
    Truncated {
        /// `totalsize` of the header.
        said: u32,
        /// Bytes given.
        given: usize,
    },
    /// A block lies outside the tree, or is not aligned.
    #[error("device tree's {block} block, {size} bytes at offset {offset}, is out of place")]
    Block {
        /// Name of the block.
        block: &'static str,
        /// Its offset in bytes.
        offset: u32,
        /// Its size in bytes.
        size: u32,
    },
    /// A token is unknown, or may not be where it is.
    #[error("device tree has the token {token:#x} out of place at offset {offset}")]
    Token {
        /// The token.
        token: u32,
        /// Its offset in bytes.
        offset: usize,
    },
    /// Something runs over the end of its block.
    #[error("device tree's {what} at offset {offset} has no end")]
    Unterminated {
        /// What has no end.
        what: &'static str,
        /// Its offset in bytes.
        offset: usize,
    },
    /// A name is not UTF-8.
    #[error("device tree's name at offset {0} is no UTF-8")]
    Name(usize),
    /// Nodes are nested deeper than [`MAX_DEPTH`].
    #[error("device tree nests nodes deeper than {MAX_DEPTH} at offset {0}")]
    Depth(usize),
}

/// The largest device tree that the arm64 boot protocol allows, in bytes.
pub const MAX_SIZE: u64 = 2 << 20;

/// Returns the size in bytes that a tree says it has in `bytes`, those that it begins with, but
/// [`MAX_SIZE`] at most; `None` if that is no header of a tree.
pub fn size_in_header(bytes: &[u8]) -> Option<u64> {
    let size = word_at(bytes, header::TOTALSIZE)?;
    (word_at(bytes, 0) == Some(MAGIC)).then_some(u64::from(size).min(MAX_SIZE))
}

/// Returns `tree` up to the end of its structure block; `None` if that end is not in `tree`. Checks
/// nothing else.
pub fn structure(tree: &[u8]) -> Option<&[u8]> {
    let start = word_at(tree, header::OFF_DT_STRUCT)? as usize;
    let size = word_at(tree, header::SIZE_DT_STRUCT)? as usize;
    tree.get(..start.checked_add(size)?)
}

/// Checks the structure of the tree at the beginning of `data`, and opens it.
///
/// No call on the result panics, as long as no iterator is used after its end.
///
/// # Errors
///
/// Returns [`BlobError`], with the offset at which the structure is broken.
pub fn open(data: &[u8]) -> Result<Fdt<'_>, BlobError> {
    let word = |offset| word_at(data, offset).ok_or(BlobError::Short(data.len()));
    let magic = word(0)?;
    let total = word(header::TOTALSIZE)?;
    let struct_offset = word(header::OFF_DT_STRUCT)?;
    let strings_offset = word(header::OFF_DT_STRINGS)?;
    let reserve_offset = word(header::OFF_MEM_RSVMAP)?;
    let version = word(header::VERSION)?;
    let last_compatible = word(header::LAST_COMP_VERSION)?;
    let strings_size = word(header::SIZE_DT_STRINGS)?;
    let struct_size = word(header::SIZE_DT_STRUCT)?;

    if magic != MAGIC {
        return Err(BlobError::Magic(magic));
    }
    if !(last_compatible..=version).contains(&VERSION) {
        return Err(BlobError::Version {
            version,
            last_compatible,
        });
    }
    let data = data.get(..total as usize).ok_or(BlobError::Truncated {
        said: total,
        given: data.len(),
    })?;
    let strings = block(data, "strings", strings_offset, strings_size, 1)?;
    block(data, "structure", struct_offset, struct_size, TAG_SIZE)?;
    check_reservations(data, reserve_offset)?;
    Structure {
        data: &data[..struct_offset as usize + struct_size as usize],
        strings,
        offset: struct_offset as usize,
    }
    .check()?;
    Ok(Fdt::new_unchecked(data))
}

/// Returns the big-endian word at `offset`.
pub fn word_at(data: &[u8], offset: usize) -> Option<u32> {
    data.get(offset..)?
        .first_chunk()
        .map(|bytes| u32::from_be_bytes(*bytes))
}

/// Returns the block that the header says is at `offset`.
fn block<'a>(
    data: &'a [u8],
    block: &'static str,
    offset: u32,
    size: u32,
    align: usize,
) -> Result<&'a [u8], BlobError> {
    let start = offset as usize;
    start
        .checked_add(size as usize)
        .filter(|_| start >= header::SIZE && start.is_multiple_of(align))
        .and_then(|end| data.get(start..end))
        .ok_or(BlobError::Block {
            block,
            offset,
            size,
        })
}

/// Checks that the memory reservation block has an end.
fn check_reservations(data: &[u8], offset: u32) -> Result<(), BlobError> {
    let start = offset as usize;
    if start < header::SIZE || start > data.len() {
        return Err(BlobError::Block {
            block: "memory reservation",
            offset,
            size: 0,
        });
    }
    match reservations_end(data, start) {
        Some(_) => Ok(()),
        None => Err(BlobError::Unterminated {
            what: "memory reservation block",
            offset: start,
        }),
    }
}

/// Returns where the entry of zeroes is that ends the memory reservation block at `start`, in bytes from
/// the beginning of the tree; `None` if there is none.
pub fn reservations_end(tree: &[u8], start: usize) -> Option<usize> {
    let before = tree
        .get(start..)?
        .chunks_exact(RESERVATION_SIZE)
        .position(|entry| entry.iter().all(|&byte| byte == 0))?;
    Some(start + before * RESERVATION_SIZE)
}

/// A walk over the structure block: `data` is the tree up to the end of it.
struct Structure<'a> {
    data: &'a [u8],
    strings: &'a [u8],
    offset: usize,
}

impl Structure<'_> {
    fn check(mut self) -> Result<(), BlobError> {
        let mut depth = 0usize;
        // Properties come before child nodes.
        let mut properties = false;
        loop {
            let at = self.offset;
            let token = self.token()?;
            match token {
                BEGIN_NODE => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return Err(BlobError::Depth(at));
                    }
                    self.name()?;
                    properties = true;
                }
                PROP if properties => self.property()?,
                END_NODE if depth > 0 => {
                    depth -= 1;
                    properties = false;
                    if depth == 0 {
                        break;
                    }
                }
                NOP if depth > 0 => {}
                _ => return Err(BlobError::Token { token, offset: at }),
            }
        }
        loop {
            let at = self.offset;
            match self.token()? {
                NOP => {}
                END => return Ok(()),
                token => return Err(BlobError::Token { token, offset: at }),
            }
        }
    }

    fn word(&mut self, what: &'static str) -> Result<u32, BlobError> {
        let offset = self.offset;
        let word = word_at(self.data, offset).ok_or(BlobError::Unterminated { what, offset })?;
        self.offset += TAG_SIZE;
        Ok(word)
    }

    fn token(&mut self) -> Result<u32, BlobError> {
        self.word("structure block")
    }

    fn name(&mut self) -> Result<(), BlobError> {
        let size = string_size(self.data, self.offset, "node name")?;
        self.offset = (self.offset + size).next_multiple_of(TAG_SIZE);
        Ok(())
    }

    fn property(&mut self) -> Result<(), BlobError> {
        let at = self.offset;
        let size = self.word("property")? as usize;
        let name = self.word("property")? as usize;
        string_size(self.strings, name, "property name")?;
        let end = self
            .offset
            .checked_add(size)
            .filter(|end| *end <= self.data.len());
        let end = end.ok_or(BlobError::Unterminated {
            what: "property",
            offset: at,
        })?;
        self.offset = end.next_multiple_of(TAG_SIZE);
        Ok(())
    }
}

/// Returns the size of the string at `offset`, NUL included.
fn string_size(data: &[u8], offset: usize, what: &'static str) -> Result<usize, BlobError> {
    let unterminated = BlobError::Unterminated { what, offset };
    let tail = data.get(offset..).ok_or(unterminated)?;
    let length = tail
        .iter()
        .position(|byte| *byte == 0)
        .ok_or(unterminated)?;
    core::str::from_utf8(&tail[..length]).map_err(|_| BlobError::Name(offset))?;
    Ok(length + 1)
}

#[cfg(test)]
mod tests;
