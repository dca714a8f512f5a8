// SPDX-License-Identifier: Apache-2.0
//! What can be wrong with a flattened device tree.

use thiserror::Error;

/// Deepest nesting of nodes that is accepted, the root being 1; real trees have about 10.
pub const MAX_DEPTH: usize = 32;

/// What is wrong with the structure of a flattened device tree.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BlobError {
    /// It is too short for a header.
    #[error("device tree of {0} bytes has no room for a header")]
    Short(usize),
    /// It is not aligned in memory, as Linux demands too (8 bytes there, 4 here).
    #[error("device tree at {0:#x} is not aligned")]
    Unaligned(usize),
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
