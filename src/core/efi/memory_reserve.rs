// SPDX-License-Identifier: Apache-2.0
//! What Linux has reserved for all kernels until the machine is reset, as tables of LPIs: a list in
//! memory (`struct linux_efi_memreserve` of Linux's include/linux/efi.h).
//!
//! Kernels write it, and it may be malformed.

use crate::acpi::Physical;
use crate::little_endian::{u32_at, u64_at};
use crate::memory::region::{Region, RegionSet};
use thiserror::Error;

/// Bytes of a part of the list before its entries: how many it has room for, how many it has, and
/// where the next part is.
pub const HEADER: usize = 16;
const ROOM: usize = 0;
const COUNT: usize = 4;
const NEXT: usize = 8;
/// Bytes of an entry: address and size.
const ENTRY: usize = 16;
/// A part fills a page of a kernel, of 64 KiB at most.
const MAX_ROOM: u32 = 1 << 12;
/// The most parts that are looked at: the tables of 512 CPUs of some two hundred kernels.
const MAX_PARTS: usize = 512;

/// Why the list is not known.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ReserveError {
    /// A part of it cannot be read.
    #[error("linux_efi_memreserve: a part at {address:#x} with {count} of {room} entries")]
    Part {
        /// Where it is.
        address: u64,
        /// How many entries it says it has.
        count: u32,
        /// How many it says it has room for.
        room: u32,
    },
    /// It has no end.
    #[error("linux_efi_memreserve: more than {MAX_PARTS} parts")]
    Endless,
}

/// Returns what `header`, of the first part of the list, is if the list is empty: no entry in this part,
/// and no other part.
pub fn emptied(header: [u8; HEADER]) -> [u8; HEADER] {
    let mut emptied = [0; HEADER];
    emptied[..COUNT].copy_from_slice(&header[..COUNT]);
    emptied
}

/// Reads the list whose first part is at the physical address `first`. The list itself is reserved
/// too.
///
/// # Errors
///
/// [`ReserveError`] if there is a part that cannot be read.
pub fn read(memory: &impl Physical, first: u64) -> Result<RegionSet, ReserveError> {
    let mut reserved = RegionSet::new();
    let mut next = first;
    for _ in 0..MAX_PARTS {
        if next == 0 {
            return Ok(reserved);
        }
        next = part(memory, next, &mut reserved)?;
    }
    Err(ReserveError::Endless)
}

/// Reads one part, and returns where the next one is.
fn part(
    memory: &impl Physical,
    address: u64,
    reserved: &mut RegionSet,
) -> Result<u64, ReserveError> {
    let header = memory.bytes(address, HEADER).unwrap_or_default();
    let number = |at| u32_at(header, at).unwrap_or_default();
    let (room, count) = (number(ROOM), number(COUNT));
    let broken = ReserveError::Part {
        address,
        count,
        room,
    };
    if count > room || room > MAX_ROOM {
        return Err(broken);
    }
    let next = u64_at(header, NEXT).ok_or(broken)?;
    let size = HEADER + room as usize * ENTRY;
    reserved.extend(Region::new(address, size as u64).ok());
    let used = HEADER + count as usize * ENTRY;
    let bytes = memory.bytes(address, used).ok_or(broken)?;
    for entry in bytes.get(HEADER..).unwrap_or_default().chunks_exact(ENTRY) {
        let field = |at| u64_at(entry, at);
        reserved.extend(Region::new(field(0).ok_or(broken)?, field(8).ok_or(broken)?).ok());
    }
    Ok(next)
}

#[cfg(test)]
mod tests;
