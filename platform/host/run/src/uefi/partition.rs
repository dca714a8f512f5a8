// SPDX-License-Identifier: Apache-2.0
//! How firmware recognizes a partition: what a disk's GPT says of it (UEFI 2.10, 5.3).

use crate::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of a block.
const BLOCK: u64 = 512;
/// The block of the first entry, where tools put it.
const ENTRIES: u64 = 2;

/// A partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// Its first block.
    pub start: u64,
    /// How many blocks it has.
    pub blocks: u64,
    /// What tells it from all others.
    pub guid: [u8; 16],
}

/// The first partition of the disk in `file`, which must have one.
///
/// # Errors
/// [`Error::File`] if it cannot be read.
pub fn first(file: &Path) -> Result<Partition, Error> {
    let mut entry = [0; 48];
    File::open(file)
        .and_then(|opened| opened.read_exact_at(&mut entry, ENTRIES * BLOCK))
        .map_err(|error| Error::File {
            path: file.to_owned(),
            error,
        })?;
    let word = |at: usize| entry[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
    let (start, last) = (word(32), word(40));
    let mut guid = [0; 16];
    guid.copy_from_slice(&entry[16..32]);
    Ok(Partition {
        number: 1,
        start,
        blocks: (last + 1).saturating_sub(start),
        guid,
    })
}
