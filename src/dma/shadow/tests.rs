// SPDX-License-Identifier: Apache-2.0

use super::*;

const OPEN: Entry = [0xd, 1, 2, 3, 0, 0, 0, 0];
const NONE: Entry = [0, 0, 2, 3, 0, 0, 0, 0];

fn shadow() -> Shadow {
    let mut shadow = Shadow::new(true, 16).expect("memory");
    shadow.fill(&NONE);
    shadow
}

fn word(address: u64, index: u64) -> u64 {
    let word = core::ptr::with_exposed_provenance::<u64>((address + 8 * index) as usize);
    // SAFETY: It is memory of the test's own.
    unsafe { word.read_volatile() }
}

/// What an SMMU finds for a stream (3.3.2), in a table of two levels that is split at 6 bits.
fn walk(shadow: &Shadow, stream: u32) -> Option<Entry> {
    let (base, config) = shadow.table();
    assert_eq!(config, 1 << 16 | 6 << 6 | 16, "STRTAB_BASE_CFG");
    let first = base & 0x000f_ffff_ffff_ffc0;
    assert_eq!(
        first % 0x2000,
        0,
        "the first level lies at a multiple of its size"
    );
    let descriptor = word(first, u64::from(stream >> 6));
    match descriptor & 0x1f {
        0 => None,
        span => {
            assert_eq!(span, 7, "a page of entries");
            let entry = (descriptor & !0x1f) + u64::from(stream & 0x3f) * 64;
            Some(core::array::from_fn(|n| word(entry, n as u64)))
        }
    }
}

#[test]
fn a_stream_is_there_once_it_was_let_through() {
    let mut shadow = shadow();
    assert_eq!(shadow.set(0x1234, &NONE, &NONE), Ok(()));
    assert_eq!(walk(&shadow, 0x1234), None, "before");
    assert_eq!(shadow.set(0x1234, &OPEN, &NONE), Ok(()));
    assert_eq!(walk(&shadow, 0x1234), Some(OPEN));
    assert_eq!(walk(&shadow, 0x1235), Some(NONE), "its neighbour");
    assert_eq!(walk(&shadow, 0x1240), None, "another group");
    assert_eq!(shadow.set(0x1234, &NONE, &NONE), Ok(()));
    assert_eq!(walk(&shadow, 0x1234), Some(NONE), "shut again");
}

#[test]
fn all_streams_can_have_one_entry_and_none() {
    let mut shadow = shadow();
    shadow.fill(&OPEN);
    for stream in [0, 1, 0x7fff, 0xffff] {
        assert_eq!(walk(&shadow, stream), Some(OPEN), "{stream:#x}");
    }
    shadow.fill(&NONE);
    for stream in [0, 1, 0x7fff, 0xffff] {
        assert_eq!(walk(&shadow, stream), None, "{stream:#x}");
    }
}

#[test]
fn there_are_so_many_groups_and_no_more() {
    let mut shadow = shadow();
    for group in 0..GROUPS as u32 {
        assert_eq!(shadow.set(group << 6, &OPEN, &NONE), Ok(()), "{group}");
    }
    let one_more = (GROUPS as u32) << 6;
    assert_eq!(shadow.set(one_more, &OPEN, &NONE), Err(Full));
    assert_eq!(walk(&shadow, one_more), None);
    assert_eq!(walk(&shadow, 0), Some(OPEN));
    shadow.fill(&NONE);
    assert_eq!(
        shadow.set(one_more, &OPEN, &NONE),
        Ok(()),
        "after all were shut"
    );
}

#[test]
fn a_stream_beyond_all_is_none() {
    let mut shadow = shadow();
    assert_eq!(shadow.set(0x1_0000, &OPEN, &NONE), Ok(()));
    assert!(!shadow.has(0), "it is not taken for another");
}

#[test]
fn one_level_has_a_page() {
    let mut shadow = Shadow::new(false, 5).expect("memory");
    shadow.fill(&NONE);
    let (base, config) = shadow.table();
    let base = base & 0x000f_ffff_ffff_ffc0;
    assert_eq!(config, 5, "STRTAB_BASE_CFG");
    assert_eq!(shadow.set(31, &OPEN, &NONE), Ok(()));
    assert_eq!(shadow.set(32, &OPEN, &NONE), Ok(()));
    assert_eq!((word(base, 31 * 8), word(base, 32 * 8)), (OPEN[0], 0));
}

#[test]
fn commands_lie_in_a_queue_of_1024() {
    let shadow = shadow();
    assert_eq!(shadow.queue() % (16 << 10), 0, "at a multiple of its size");
    shadow.places().put(1023, [5, 6]);
    assert_eq!(
        (word(shadow.queue(), 2046), word(shadow.queue(), 2047)),
        (5, 6)
    );
}
