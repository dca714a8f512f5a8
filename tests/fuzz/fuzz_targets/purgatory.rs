// SPDX-License-Identifier: Apache-2.0
//! Finds the regions that a purgatory would verify: they are the other segments, and guest memory; a
//! digest is taken where it is recorded, and nowhere else.
#![no_main]

use baton_core::linux::crash::purgatory::{self, PurgatoryError, Recorded};
use baton_core::linux::kimage::Segment;
use baton_core::linux::ranges::Range;
use baton_core::memory::guest_memory::GuestMemory;
use baton_fuzz::input::Input;
use baton_fuzz::memory::Memory;
use libfuzzer_sys::fuzz_target;

const PAGE: u64 = 0x1000;
/// The page of the purgatory.
const PURGATORY: u64 = 20;

fn segment(start: u64, size: u64) -> Segment {
    Segment {
        file_size: size,
        start,
        size,
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mut memory = Memory::new(PAGE, 0x4000_0000);
    let kind = input.u8();
    let mut segments = vec![segment(memory.address(PURGATORY), 2 * PAGE)];
    for _ in 0..kind % 6 {
        let start = memory.pick(&mut input);
        segments.push(segment(start, u64::from(input.u8()) * PAGE));
    }
    let first = segments[0];
    let table = first.start + input.number(2) % PAGE / 8 * 8;
    for (at, segment) in (table..).step_by(16).zip(&segments[1..]) {
        memory.write(at, segment.start);
        memory.write(at + 8, segment.size);
    }
    let sound = input.is_empty();
    while !input.is_empty() {
        let at = match input.u8() % 4 {
            0 => memory
                .pick(&mut input)
                .wrapping_add(u64::from(input.u8()) * 8),
            1 => first.start + input.number(2) % (2 * PAGE),
            _ => table + u64::from(input.u8()) * 8 % 0x140,
        };
        memory.write(at, input.edge());
    }
    let start = if kind & 0x80 == 0 {
        first.start
    } else {
        memory.pick(&mut input)
    };

    let found = purgatory::find(&memory, &segments, start);
    match found {
        Ok(Recorded::Digest(regions)) => {
            let others = segments.iter().filter(|segment| {
                !(segment.start..segment.start.saturating_add(segment.size)).contains(&start)
            });
            assert!(regions.as_slice().len() >= others.count());
            for Range { start, end } in regions.as_slice() {
                assert!(
                    memory.contains(*start, end - start),
                    "{start:#x} to {end:#x}"
                );
                let is = |segment: &&Segment| segment.start == *start;
                assert!(segments.iter().any(|segment| is(&segment)), "{start:#x}");
            }
            let digest = [0xa5; 32];
            let mismatch = regions.check(&memory, digest).expect_err("no digest");
            assert!(!mismatch.to_string().is_empty());
            for at in (table + 0x100..).step_by(8).take(4) {
                memory.write(at, 0xa5a5_a5a5_a5a5_a5a5);
            }
            if start == first.start && memory.contains(table, 0x120) {
                let overwritten = regions
                    .as_slice()
                    .iter()
                    .any(|range| range.start < first.start + first.size && first.start < range.end);
                assert!(overwritten || regions.check(&memory, digest).is_ok());
            }
        }
        Ok(_) => {}
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let inside = segments
                .iter()
                .all(|segment| memory.contains(segment.start, segment.size));
            let twice = segments.iter().skip(1).any(|segment| *segment == first);
            let others = segments.len() > 1 && segments[1..].iter().any(|segment| segment.size > 0);
            if sound && inside && !twice && others && start == first.start {
                assert!(
                    matches!(error, PurgatoryError::TooLarge(_)),
                    "a table that was not found: {error}, {segments:x?}"
                );
            }
        }
    }
});
