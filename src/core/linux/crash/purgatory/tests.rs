// SPDX-License-Identifier: Apache-2.0

use super::error::Entry;
use super::*;
use crate::linux::crash::sha256::{Sha256, mix};
use crate::linux::fake::Ram;

/// The segments as kexec-tools sorts them: kernel, initrd, device tree, purgatory, elfcorehdr. They are
/// smaller than true ones, so that all of their bits can be flipped.
const SEGMENTS: [(u64, u64); 5] = [
    (0x5000_0000, 0x300),
    (0x5020_0000, 0x100),
    (0x5030_0000, 0x80),
    (PURGATORY, SIZE),
    (0x5ff0_0000, 0x100),
];
const PURGATORY: u64 = 0x5040_0000;
const SIZE: u64 = 0x4000;
/// Where it is entered, and where Debian's 2.0.25 has its data, a stack of zeroes, the regions and what
/// is behind them.
const START: u64 = PURGATORY + 0x6a0;
const STACK: u64 = PURGATORY + 0x6d0;
const TABLE: u64 = PURGATORY + 0x33d8;
const DIGEST: u64 = TABLE + 256;
const SKIP: u64 = DIGEST + 32;
const ENTRY: u64 = SKIP + 8;

fn segments() -> [Segment; 5] {
    SEGMENTS.map(|(start, size)| Segment {
        file_size: size,
        start,
        size,
    })
}

/// Memory with a crash image that kexec-tools has loaded.
fn loaded() -> Ram {
    let ram = Ram::new();
    for (start, size) in SEGMENTS {
        for at in (start..start + size).step_by(8) {
            let in_stack = (STACK..STACK + 0x800).contains(&at);
            if !in_stack {
                ram.write(at, at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            }
        }
    }
    for at in (TABLE..ENTRY).step_by(8) {
        ram.write(at, 0);
    }
    let others = SEGMENTS.iter().filter(|(start, _)| *start != PURGATORY);
    for (at, (start, size)) in (TABLE..).step_by(16).zip(others) {
        ram.write(at, *start);
        ram.write(at + 8, *size);
    }
    ram.write(ENTRY, SEGMENTS[0].0);
    ram.write(ENTRY + 8, SEGMENTS[2].0);
    let digest = hash(
        &ram,
        SEGMENTS.iter().filter(|(start, _)| *start != PURGATORY),
    );
    for (at, word) in (DIGEST..).step_by(8).zip(words(digest)) {
        ram.write(at, word);
    }
    ram
}

fn hash<'a>(ram: &Ram, ranges: impl Iterator<Item = &'a (u64, u64)>) -> [u8; 32] {
    let mut hash = Sha256::new(mix);
    for (start, size) in ranges {
        for at in (*start..start + size).step_by(8) {
            hash.update(&ram.read_u64(at).unwrap().to_le_bytes());
        }
    }
    hash.finish()
}

fn found(ram: &Ram) -> Result<Recorded, PurgatoryError> {
    find(ram, &segments(), START)
}

/// Finds the regions, and checks what they hold.
fn verified(ram: &Ram) -> Result<(), Mismatch> {
    let Ok(Recorded::Digest(regions)) = found(ram) else {
        panic!("no regions: {:x?}", found(ram));
    };
    let ranges: Vec<_> = regions
        .as_slice()
        .iter()
        .map(|range| (range.start, range.end - range.start))
        .collect();
    regions.check(ram, hash(ram, ranges.iter()))
}

fn flip(ram: &Ram, bit: u64) {
    let at = bit / 64 * 8;
    ram.write(at, ram.read_u64(at).unwrap() ^ 1 << (bit % 64));
}

#[test]
fn finds_the_regions_and_their_digest() {
    let ram = loaded();
    let Ok(Recorded::Digest(regions)) = found(&ram) else {
        panic!("no regions: {:x?}", found(&ram));
    };
    let expected = [0, 1, 2, 4].map(|number: usize| {
        let (start, size) = SEGMENTS[number];
        Range {
            start,
            end: start + size,
        }
    });
    assert_eq!(regions.as_slice(), expected);
    assert_eq!(regions.size(), 0x300 + 0x100 + 0x80 + 0x100);
    assert_eq!(verified(&ram), Ok(()));
}

#[test]
fn the_variables_may_be_in_another_order() {
    let ram = loaded();
    for at in (DIGEST..SKIP).step_by(8) {
        ram.write(TABLE - 0x200 + (at - DIGEST), ram.read_u64(at).unwrap());
        ram.write(at, 7);
    }
    assert_eq!(verified(&ram), Ok(()));
}

#[test]
fn each_flipped_bit_of_a_region_is_a_mismatch() {
    let ram = loaded();
    let recorded = verified(&ram).is_ok().then(|| read(&ram, DIGEST)).flatten();
    let recorded = recorded.map(bytes);
    for (start, size) in SEGMENTS
        .into_iter()
        .filter(|(start, _)| *start != PURGATORY)
    {
        for bit in start * 8..(start + size) * 8 {
            flip(&ram, bit);
            let mismatch = verified(&ram).expect_err("a mismatch");
            assert_eq!(
                mismatch.recorded,
                recorded,
                "bit {:#x}.{}",
                bit / 8,
                bit % 8
            );
            assert_ne!(Some(mismatch.found), recorded);
            flip(&ram, bit);
        }
    }
    assert_eq!(verified(&ram), Ok(()), "with all bits as they were");
}

#[test]
fn each_flipped_bit_of_the_table_is_named() {
    let ram = loaded();
    for bit in TABLE * 8..DIGEST * 8 {
        flip(&ram, bit);
        let number = (bit / 8 - TABLE) / 16;
        match found(&ram) {
            Err(PurgatoryError::Damaged(entry)) => {
                assert_eq!(entry.number as u64, number, "bit {bit:#x}");
                let expected = (entry.expected_start, entry.expected_size);
                assert_ne!((entry.start, entry.size), expected);
            }
            other => panic!("bit {bit:#x}: {other:x?}"),
        }
        flip(&ram, bit);
    }
}

#[test]
fn each_flipped_bit_of_the_digest_is_a_mismatch() {
    let ram = loaded();
    for bit in DIGEST * 8..SKIP * 8 {
        flip(&ram, bit);
        assert!(verified(&ram).is_err(), "bit {bit:#x}");
        flip(&ram, bit);
    }
}

#[test]
fn a_damaged_entry_is_told_with_its_segment() {
    let ram = loaded();
    ram.write(TABLE + 16, 0x1234_5000);
    let expected = Entry {
        number: 1,
        start: 0x1234_5000,
        size: 0x100,
        expected_start: 0x5020_0000,
        expected_size: 0x100,
    };
    assert_eq!(found(&ram), Err(PurgatoryError::Damaged(expected)));
}

#[test]
fn a_purgatory_that_shall_not_look_has_nothing() {
    let ram = loaded();
    for at in (TABLE..SKIP).step_by(8) {
        ram.write(at, 0);
    }
    let nowhere = Err(PurgatoryError::NoTable(segments()[3]));
    assert_eq!(found(&ram), nowhere, "a table that was lost");
    ram.write(SKIP, 1);
    assert_eq!(found(&ram), Ok(Recorded::Unchecked));
    ram.write(DIGEST, 1);
    assert_eq!(found(&ram), nowhere, "a digest of nothing");
}

#[test]
fn a_kernel_that_is_entered_itself_has_no_purgatory() {
    let ram = loaded();
    ram.write(SEGMENTS[0].0 + 56, 0x644d_5241);
    let recorded = find(&ram, &segments(), SEGMENTS[0].0);
    assert_eq!(recorded, Ok(Recorded::NoPurgatory));
}

#[test]
fn what_cannot_be_a_purgatory_is_none() {
    let ram = loaded();
    let find = |segments: &[Segment], start| find(&ram, segments, start);
    for start in [0, PURGATORY - 1, PURGATORY + SIZE, u64::MAX] {
        let expected = PurgatoryError::NoSegment(start);
        assert_eq!(find(&segments(), start), Err(expected), "{start:#x}");
    }
    assert_eq!(find(&[], START), Err(PurgatoryError::NoSegment(START)));
    let with = |number: usize, segment| {
        let mut segments = segments();
        segments[number] = segment;
        segments
    };
    let at = |start, size| Segment {
        file_size: 0,
        start,
        size,
    };
    for (number, segment) in [
        (3, at(PURGATORY + 4, SIZE)),
        (3, at(PURGATORY, u64::MAX)),
        (0, at(Ram::MONITOR - 0x1000, 0x2000)),
        (4, at(Ram::END - 0x1000, 0x2000)),
        (1, at(u64::MAX - 0xfff, 0x1000)),
        (1, at(u64::MAX - 0xfff, 0x2000)),
    ] {
        let expected = Err(PurgatoryError::Outside(segment));
        assert_eq!(find(&with(number, segment), START), expected);
    }
    let large = at(PURGATORY, 0x10_0008);
    let expected = Err(PurgatoryError::TooLarge(large));
    assert_eq!(find(&with(3, large), START), expected);
    let alone = &segments()[3..4];
    assert_eq!(find(alone, START), Err(PurgatoryError::NoTable(alone[0])));
    for size in [8, 255] {
        let small = at(START, size);
        let expected = Err(PurgatoryError::NoTable(small));
        assert_eq!(find(&with(3, small), START), expected, "{size} bytes");
    }
}

#[test]
fn a_table_at_the_very_end_is_found() {
    let ram = loaded();
    let mut segments = segments();
    segments[3].size = DIGEST - PURGATORY;
    let Ok(Recorded::Digest(regions)) = find(&ram, &segments, START) else {
        panic!("no regions");
    };
    // The digest is not in it, and not behind the table.
    let mismatch = regions.check(&ram, [7; 32]).expect_err("a mismatch");
    assert_eq!(mismatch.recorded, None);
    segments[3].size -= 8;
    let found = find(&ram, &segments, START);
    assert_eq!(found, Err(PurgatoryError::NoTable(segments[3])));
}

#[test]
fn a_mismatch_is_told_whole() {
    let mismatch = Mismatch {
        found: [0x0a; 32],
        recorded: Some([0xb0; 32]),
        regions: 4,
        size: 0x2200000,
    };
    let expected = format!(
        "the SHA-256 of the crash image's 4 regions, 0x2200000 bytes, is {}, not {}",
        "0a".repeat(32),
        "b0".repeat(32)
    );
    assert_eq!(mismatch.to_string(), expected);
}
