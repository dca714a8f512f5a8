// SPDX-License-Identifier: Apache-2.0
//! Reads the header of a crash dump: notes that are taken are guest memory, aligned, apart from each other
//! and from the crash image, and what is written to them changes nothing else.
#![no_main]

use baton_core::linux::crash::core_header::{CoreHeader, MAX_NOTES};
use baton_core::linux::crash::owners::{self, Owner};
use baton_core::linux::crash::prstatus::{self, Registers};
use baton_core::linux::kimage::Segment;
use baton_core::memory::guest_memory::GuestMemory;
use baton_core::tee::message::WritableMemory;
use baton_fuzz::input::Input;
use baton_fuzz::memory::Memory;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;

/// The page of the header, and where the first program header is in it.
const HEADER: u64 = 20;
const TABLE: u64 = 64;
const PROGRAM_HEADER: u64 = 56;

thread_local! {
    static CORE: RefCell<Box<CoreHeader>> = RefCell::new(Box::default());
}

/// Memory that may be written at notes alone.
struct Notes<'a>(RefCell<Memory>, &'a [u64]);

impl GuestMemory for Notes<'_> {
    fn read_u64(&self, address: u64) -> Option<u64> {
        self.0.borrow().read_u64(address)
    }

    fn contains(&self, start: u64, size: u64) -> bool {
        self.0.borrow().contains(start, size)
    }
}

impl WritableMemory for Notes<'_> {
    fn write_u64(&self, address: u64, value: u64) {
        let size = prstatus::SIZE as u64;
        let inside = |note: &u64| *note <= address && address + 8 <= note + size;
        assert!(self.1.iter().any(inside), "{address:#x} is in no note");
        self.0.borrow_mut().write(address, value);
    }
}

/// Writes a header, program headers, and words anywhere, as the input says.
fn write(memory: &mut Memory, input: &mut Input<'_>) {
    let at = memory.address(HEADER);
    memory.write(at, 0x0001_0102_464c_457f);
    memory.write(at + 0x10, 0x1_00b7_0004);
    memory.write(at + 0x20, TABLE);
    memory.write(at + 0x30, PROGRAM_HEADER << 48);
    let mut entries = 0;
    while !input.is_empty() {
        let entry = at + TABLE + entries * PROGRAM_HEADER;
        let kind = input.u8();
        let address = memory.pick(input);
        let (address, size) = match kind % 8 {
            0..=3 => (address.wrapping_add(u64::from(input.u8()) * 8), 424),
            4 => (address, input.number(2)),
            5 => (address.wrapping_add(u64::from(input.u8())), 424),
            6 => (address, input.edge()),
            _ => {
                let value = input.edge();
                memory.write(address.wrapping_add(u64::from(input.u8()) * 8), value);
                continue;
            }
        };
        let kind = if kind & 0x40 == 0 { 4 } else { 1 };
        for (offset, value) in (0..)
            .step_by(8)
            .zip([kind, address, 0, address, size, size])
        {
            memory.write(entry + offset, value);
        }
        entries += 1;
    }
    let count = memory.read_u64(at + 0x38).filter(|count| *count > 0);
    memory.write(at + 0x38, count.unwrap_or(entries));
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mut memory = Memory::new(0x1000, 0x4000_0000);
    let mut segments = Vec::new();
    for _ in 0..input.u8() % 4 {
        segments.push(Segment {
            file_size: 0,
            start: memory.pick(&mut input),
            size: input.edge(),
        });
    }
    let pages = u64::from(input.u8() % 16) + 1;
    segments.push(Segment {
        file_size: 0,
        start: memory.address(HEADER),
        size: pages * 0x1000,
    });
    write(&mut memory, &mut input);

    CORE.with_borrow_mut(|header| {
        if let Err(error) = header.read(&memory, &segments) {
            assert!(!error.to_string().is_empty());
            assert!(header.notes().is_empty());
            assert_eq!(header.loads(&memory).count(), 0);
            return;
        }
        let notes = header.notes();
        assert!((1..=MAX_NOTES).contains(&notes.len()));
        assert!(header.segment() < segments.len());
        let size = prstatus::SIZE as u64;
        for note in notes {
            assert!(
                memory.contains(*note, size) && note.is_multiple_of(8),
                "{note:#x}"
            );
            for segment in &segments {
                let behind = *note >= segment.start.saturating_add(segment.size);
                let before = note + size <= segment.start;
                assert!(
                    before || behind || segment.size == 0,
                    "{note:#x} in {segment:x?}"
                );
            }
        }
        for pair in notes.windows(2) {
            assert!(pair[0] + size <= pair[1], "{pair:x?}");
        }
        for load in header.loads(&memory) {
            assert!(load.range.start <= load.range.end, "{load:x?}");
        }
        // The first CPUs have areas as far apart as their notes.
        let offset = |note: &u64| note.wrapping_sub(0x1234_5678_9abc);
        let mut cpus: Vec<_> = notes
            .iter()
            .map(|note| Owner {
                offset: offset(note),
                note: None,
            })
            .collect();
        owners::find(notes, &mut cpus, &[], |_| None).expect("notes that fit");
        let found = cpus.iter().map(|cpu| cpu.note.expect("a note"));
        assert!(found.eq(notes.iter().copied()));

        let memory = Notes(RefCell::new(memory.clone()), notes);
        for note in notes {
            Registers::NONE.write(&memory, *note);
        }
        assert!(notes.iter().all(|note| prstatus::is_filled(&memory, *note)));
    });
});
