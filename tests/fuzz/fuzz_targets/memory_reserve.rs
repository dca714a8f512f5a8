// SPDX-License-Identifier: Apache-2.0
//! Reads a list of what Linux has reserved for all kernels: it ends, and if it can be read, all that is in it is
//! reserved, the list too.
#![no_main]

use baton_core::acpi::Physical;
use baton_core::efi::memory_reserve::read;
use baton_core::efi::sample::{Memory, reserve};
use baton_core::memory::region::Region;
use baton_fuzz::input::Input;
use libfuzzer_sys::fuzz_target;

/// Where the parts of a list can be, from 1 on.
const APART: u64 = 0x1_0000;
const PARTS: u64 = 8;

/// Returns memory with a part for each that an input describes: its room, where the next one is, its entries, and
/// whether its header says something else.
fn described(input: &mut Input<'_>) -> Memory {
    let mut memory = Memory::default();
    for part in 1..=PARTS {
        let room = u32::from(input.u8());
        let next = match input.u8() {
            0xff => input.edge(),
            part => u64::from(part) % (PARTS + 1) * APART,
        };
        let count = u64::from(room).min(u64::from(input.u8() % 8));
        let entries: Vec<_> = (0..count).map(|_| (input.edge(), input.edge())).collect();
        let mut bytes = reserve(room, next, &entries);
        match input.u8() {
            1 => bytes[..4].copy_from_slice(&(input.edge() as u32).to_le_bytes()),
            2 => bytes[4..8].copy_from_slice(&(input.edge() as u32).to_le_bytes()),
            3 => bytes.truncate(input.u8().into()),
            _ => {}
        }
        memory.put(part * APART, bytes);
        if input.is_empty() {
            break;
        }
    }
    memory
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("8 bytes"))
}

fuzz_target!(|data: &[u8]| {
    let memory = described(&mut Input::new(data));
    let reserved = match read(&memory, APART) {
        Ok(reserved) => reserved,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let is_reserved =
        |start, size| Region::new(start, size).is_err() || reserved.contains(start, size);
    let mut next = APART;
    while next != 0 {
        let counts = number(memory.bytes(next, 16).expect("a part"), 0);
        let (room, count) = (counts & 0xffff_ffff, counts >> 32);
        assert!(count <= room, "{count} entries in a part for {room}");
        assert!(is_reserved(next, 16 + room * 16), "a part at {next:#x}");
        let bytes = memory.bytes(next, 16 + count as usize * 16);
        let bytes = bytes.expect("the entries of a part");
        for entry in bytes[16..].chunks_exact(16) {
            let (start, size) = (number(entry, 0), number(entry, 8));
            assert!(is_reserved(start, size), "{size:#x} bytes at {start:#x}");
        }
        next = number(bytes, 8);
    }
});
