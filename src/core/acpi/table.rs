// SPDX-License-Identifier: Apache-2.0
//! One table: its header (5.2.6), its length and its checksum.

use super::Physical;
use super::error::AcpiError;
use super::signature::Signature;
use crate::little_endian::{bytes_at, u32_at};

/// Bytes of the header that every table begins with.
pub const HEADER: usize = 36;

/// The longest table that is read. A CPU of the MADT has 82 bytes.
pub const MAX_LENGTH: u32 = 1 << 20;

/// Offsets in the header.
const LENGTH: usize = 4;
pub const REVISION: usize = 8;

/// Reads the signature of the table at `address`; `None` if its header cannot be read.
pub fn signature(memory: &impl Physical, address: u64) -> Option<Signature> {
    bytes_at(memory.bytes(address, HEADER)?, 0).map(Signature)
}

/// Returns the whole table at `address`, which must be a `wanted` one.
///
/// # Errors
///
/// [`AcpiError`] if it is another one, cannot be read, or has a length or a checksum that is wrong.
pub fn open(memory: &impl Physical, address: u64, wanted: Signature) -> Result<&[u8], AcpiError> {
    let unreadable = |length| AcpiError::Unreadable {
        table: wanted,
        address,
        length,
    };
    let header = memory.bytes(address, HEADER);
    let header = header.ok_or(unreadable(HEADER as u32))?;
    let found = Signature(bytes_at(header, 0).unwrap_or_default());
    if found != wanted {
        return Err(AcpiError::OtherTable {
            table: wanted,
            found,
            address,
        });
    }
    let length = u32_at(header, LENGTH).unwrap_or_default();
    if !(HEADER as u32..=MAX_LENGTH).contains(&length) {
        return Err(AcpiError::Length {
            table: wanted,
            address,
            length,
        });
    }
    let table = memory.bytes(address, length as usize);
    let table = table.ok_or(unreadable(length))?;
    match sum(table) {
        0 => Ok(table),
        sum => Err(AcpiError::Checksum {
            table: wanted,
            address,
            sum,
        }),
    }
}

/// Adds all bytes up, in 8 bits: a checksum among them makes this 0.
pub fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}
