// SPDX-License-Identifier: Apache-2.0
//! What UEFI leaves in memory, for tests.

use crate::acpi::Physical;
use alloc::vec::Vec;

/// Memory with some things in it, each at its own address; nothing else can be read.
#[derive(Clone, Debug, Default)]
pub struct Memory(pub Vec<(u64, Vec<u8>)>);

impl Physical for Memory {
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
        self.0.iter().find_map(|(start, bytes)| {
            let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(offset..offset.checked_add(length)?)
        })
    }
}

impl Memory {
    /// Puts `bytes` at `address`.
    pub fn put(&mut self, address: u64, bytes: Vec<u8>) -> &mut Self {
        self.0.push((address, bytes));
        self
    }
}

/// `EFI_MEMORY_WB` and what firmware has beside it.
pub const WRITE_BACK: u64 = 0xf;
/// The same, of what firmware needs at run time.
pub const AT_RUNTIME: u64 = 1 << 63 | WRITE_BACK;

/// Returns a memory map whose descriptors have `size` bytes: type, physical and virtual address, pages
/// and attributes.
pub fn map(size: usize, descriptors: &[(u32, u64, u64, u64, u64)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, start, at, pages, attribute) in descriptors {
        let end = bytes.len() + size;
        bytes.extend(u64::from(*kind).to_le_bytes());
        for number in [start, at, pages, attribute] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.resize(end, 0xee);
    }
    bytes
}

/// Returns a system table with `count` configuration tables at `address`.
pub fn system_table(count: u32, address: u64) -> Vec<u8> {
    let mut bytes = b"IBI SYST".to_vec();
    bytes.resize(104, 0);
    bytes.extend(u64::from(count).to_le_bytes());
    bytes.extend(address.to_le_bytes());
    bytes
}

/// Returns configuration tables: GUIDs, and addresses.
pub fn configuration(tables: &[([u8; 16], u64)]) -> Vec<u8> {
    let entry = |(guid, address): &([u8; 16], u64)| [&guid[..], &address.to_le_bytes()].concat();
    tables.iter().flat_map(entry).collect()
}

/// Returns a part of what Linux has reserved: with room for `room` entries, and the next part at `next`.
pub fn reserve(room: u32, next: u64, entries: &[(u64, u64)]) -> Vec<u8> {
    let mut bytes = [room.to_le_bytes(), (entries.len() as u32).to_le_bytes()].concat();
    bytes.extend(next.to_le_bytes());
    for (start, size) in entries {
        bytes.extend(start.to_le_bytes());
        bytes.extend(size.to_le_bytes());
    }
    bytes.resize(16 + room as usize * 16, 0);
    bytes
}
