// SPDX-License-Identifier: Apache-2.0
//! Checks the structure of a flattened device tree before it is read (Devicetree Specification
//! v0.4, chapter 5).
//!
//! `dtoolkit` panics on a malformed blob that it did not validate. Its own validation is no use
//! here: it refuses names that real trees have (Linux's bindings have properties of more than 31
//! characters), and it does not bound the depth, so that its recursion could run over a small
//! stack.

pub use super::blob_error::{BlobError, MAX_DEPTH};

use super::structure::{Check, Structure, Visitor};
use dtoolkit::fdt::Fdt;

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
    walk(data, &mut Check).map(Fdt::new_unchecked)
}

/// Checks the structure of the tree at the beginning of `data`, and has `visitor` see all of it on the way;
/// returns the tree without what is behind it.
///
/// # Errors
///
/// As for [`open`].
pub fn walk<'a>(data: &'a [u8], visitor: &mut impl Visitor<'a>) -> Result<&'a [u8], BlobError> {
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
    let structure = block(data, "structure", struct_offset, struct_size, TAG_SIZE)?;
    check_reservations(data, reserve_offset)?;
    let structure = Structure::new(structure, struct_offset as usize, strings);
    let unaligned = || BlobError::Unaligned(data.as_ptr().addr());
    structure.ok_or_else(unaligned)?.walk(visitor)?;
    Ok(data)
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

#[cfg(test)]
mod tests;
