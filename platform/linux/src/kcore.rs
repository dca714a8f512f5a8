// SPDX-License-Identifier: Apache-2.0
//! The machine's memory, as root can read it in `/proc/kcore`: an ELF file of what the kernel has mapped.

use crate::root::Root;
use std::fs::File;
use std::os::unix::fs::FileExt;

const FILE: &str = "/proc/kcore";
/// ELF64: bytes of the file's header and of a program header, and fields in them (gABI, chapters 4 and 5).
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const PHOFF: usize = 32;
const PHNUM: usize = 56;
const PT_LOAD: u32 = 1;
/// p_offset, p_paddr and p_filesz of a program header.
const FIELDS: [usize; 3] = [8, 24, 32];

/// Reads `size` bytes at the physical address `address`; `None` if the file cannot be read, or does not have them.
pub fn read(root: &Root, address: u64, size: usize) -> Option<Vec<u8>> {
    let file = File::open(root.path(FILE)).ok()?;
    let bytes = |at: u64, size: usize| {
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, at).ok().map(|()| bytes)
    };
    let header = bytes(0, HEADER)?;
    let count = u16::from_le_bytes(*header.get(PHNUM..)?.first_chunk()?);
    let headers = bytes(number(&header, PHOFF)?, usize::from(count) * PROGRAM_HEADER)?;
    headers.chunks_exact(PROGRAM_HEADER).find_map(|header| {
        let [offset, start, length] = FIELDS.map(|at| number(header, at).unwrap_or(0));
        let inside = address.checked_sub(start)?;
        let is_here = header.starts_with(&PT_LOAD.to_le_bytes())
            && length
                .checked_sub(size as u64)
                .is_some_and(|last| inside <= last);
        is_here.then(|| bytes(offset.checked_add(inside)?, size))?
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u64::from_le_bytes)
}

/// Files for tests.
#[cfg(test)]
pub(crate) mod fake {
    use super::*;

    /// One of a kernel that has mapped this memory at physical address `start`, and other memory before it.
    pub fn file(start: u64, memory: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 0x100];
        file[PHOFF] = HEADER as u8;
        file[PHNUM] = 2;
        for (number, (start, size)) in [(0, 0x1000), (start, memory.len())].into_iter().enumerate()
        {
            let header = &mut file[HEADER + number * PROGRAM_HEADER..];
            header[0] = PT_LOAD as u8;
            for (at, value) in FIELDS.into_iter().zip([0x100, start, size as u64]) {
                header[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
        file.extend(memory);
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::fake::System;

    #[test]
    fn has_what_is_mapped_and_nothing_else() {
        let system = System::new().with(FILE, fake::file(0xbfc1_0000, b"0123456789"));
        let read = |address, size| read(&system.root(), address, size);
        assert_eq!(read(0xbfc1_0000, 10).as_deref(), Some(&b"0123456789"[..]));
        assert_eq!(read(0xbfc1_0002, 3).as_deref(), Some(&b"234"[..]));
        for (address, size) in [(0xbfc0_ffff, 2), (0xbfc1_0001, 10), (u64::MAX, 1)] {
            assert_eq!(read(address, size), None, "{size} bytes at {address:#x}");
        }
    }

    #[test]
    fn what_is_no_such_file_has_nothing() {
        let system = System::new();
        assert_eq!(read(&system.root(), 0, 1), None, "no file");
        for bytes in [&[][..], &[0; 64], &[0xff; 200]] {
            system.put(FILE, bytes);
            assert_eq!(read(&system.root(), 0, 1), None, "{} bytes", bytes.len());
        }
    }
}
