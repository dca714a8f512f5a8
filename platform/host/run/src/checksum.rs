// SPDX-License-Identifier: Apache-2.0
//! Tells builds apart.

use crate::Error;
use std::path::Path;

/// A sum of a file's bytes (FNV-1a, 32 bits).
///
/// # Errors
/// [`Error::File`] if it cannot be read.
pub fn checksum(path: &Path) -> Result<u32, Error> {
    let bytes = std::fs::read(path).map_err(|error| Error::File {
        path: path.to_owned(),
        error,
    })?;
    let step = |sum: u32, byte: &u8| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    Ok(bytes.iter().fold(0x811c_9dc5, step))
}
