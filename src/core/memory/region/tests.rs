// SPDX-License-Identifier: Apache-2.0
use super::*;

fn region(start: u64, end: u64) -> Region {
    Region::from_bounds(start, end).expect("test region")
}

fn set(bounds: &[(u64, u64)]) -> RegionSet {
    bounds
        .iter()
        .map(|&(start, end)| region(start, end))
        .collect()
}

#[test]
fn highest_fit_below_stays_below() {
    let set = set(&[(0x1000, 0x5000), (0x8000, 0xc000)]);
    let fit = |end, size| set.highest_fit_below(end, size, 0x1000).map(|r| r.start());
    assert_eq!(fit(u64::MAX, 0x2000), Some(0xa000));
    assert_eq!(fit(0xa800, 0x2000), Some(0x8000));
    assert_eq!(fit(0x9000, 0x2000), Some(0x3000));
    assert_eq!(fit(0x2000, 0x2000), None);
}

#[test]
fn highest_fit_within_crosses_no_block_if_it_can() {
    let fit = |set: &RegionSet, size| {
        set.highest_fit_within(size, 0x1000, 0x1_0000)
            .map(|r| r.start())
    };
    // The end of memory lies a little above a multiple of the block.
    let high = set(&[(0x1000, 0x3_1000)]);
    assert_eq!(fit(&high, 0x1000), Some(0x3_0000));
    assert_eq!(fit(&high, 0x4000), Some(0x2_c000));
    assert_eq!(fit(&high, 0x1_0000), Some(0x2_0000));
    // Larger than a block.
    assert_eq!(fit(&high, 0x1_1000), Some(0x2_0000));
    // Each region lies across.
    let across = set(&[(0xf000, 0x1_1000), (0x2_f000, 0x3_1000)]);
    assert_eq!(fit(&across, 0x2000), Some(0x2_f000));
    // The lower region has room within a block.
    let lower = set(&[(0x1000, 0x3000), (0x2_f000, 0x3_1000)]);
    assert_eq!(fit(&lower, 0x2000), Some(0x1000));
    assert_eq!(fit(&lower, 0x3000), None);
}

#[test]
fn refuses_empty_and_wrapping_regions() {
    assert_eq!(Region::new(0x1000, 0), Err(RegionError::Empty(0x1000)));
    assert_eq!(Region::from_bounds(8, 8), Err(RegionError::Empty(8)));
    assert_eq!(Region::from_bounds(9, 8), Err(RegionError::Empty(9)));
    let wraps = RegionError::Wraps {
        start: u64::MAX,
        size: 1,
    };
    assert_eq!(Region::new(u64::MAX, 1), Err(wraps));
    assert_eq!(Region::new(0, u64::MAX).map(|r| r.end()), Ok(u64::MAX));
}

#[test]
fn aligns_in_both_directions() {
    assert_eq!(align_up(0x1001, 0x1000), Some(0x2000));
    assert_eq!(align_up(0x1000, 0x1000), Some(0x1000));
    assert_eq!(
        align_up(u64::MAX, 0x1000),
        None,
        "the result needs a 65th bit"
    );
    assert_eq!(align_down(0x1fff, 0x1000), Some(0x1000));
    assert_eq!(align_down(0x1fff, 0x1800), None, "not a power of two");
    assert_eq!(align_up(0x1fff, 0), None, "not a power of two");
    let odd = region(0x1800, 0x4800);
    assert_eq!(odd.align_outward(0x1000), Some(region(0x1000, 0x5000)));
    assert_eq!(odd.align_inward(0x1000), Some(region(0x2000, 0x4000)));
    assert_eq!(odd.align_inward(0x10000), None);
    assert!(region(0x1000, 0x3000).is_aligned(0x1000));
    assert!(!odd.is_aligned(0x1000));
}

#[test]
fn compares_regions() {
    let r = region(0x10, 0x20);
    assert!(r.contains(0x10) && r.contains(0x1f) && !r.contains(0x20));
    assert!(r.encloses(&r) && !r.encloses(&region(0x10, 0x21)));
    assert!(r.overlaps(&region(0x1f, 0x30)) && !r.overlaps(&region(0x20, 0x30)));
    assert_eq!(
        r.intersection(&region(0x18, 0x30)),
        Some(region(0x18, 0x20))
    );
    assert_eq!(r.intersection(&region(0x20, 0x30)), None);
    let both = [Some(region(0x10, 0x14)), Some(region(0x18, 0x20))];
    assert_eq!(r.without(&region(0x14, 0x18)), both);
    assert_eq!(r.without(&region(0, 0x40)), [None, None]);
}

#[test]
fn prints_bounds_and_size() {
    let cases = [
        (
            region(0x4000_0000, 0x8000_0000),
            "0x40000000-0x80000000 (1024 MiB)",
        ),
        (
            region(0x900_0000, 0x900_1000),
            "0x9000000-0x9001000 (4 KiB)",
        ),
        (region(1, 4), "0x1-0x4 (3 bytes)"),
    ];
    for (region, expected) in cases {
        assert_eq!(alloc::format!("{region}"), expected);
    }
    assert_eq!(
        alloc::format!("{}", set(&[(0, 1), (2, 3)])),
        "0x0-0x1 (1 bytes), 0x2-0x3 (1 bytes)"
    );
}

#[test]
fn merges_on_insert() {
    let mut s = set(&[(0x10, 0x20), (0x30, 0x40), (0x50, 0x60)]);
    assert_eq!(s.len(), 3);
    s.insert(region(0x20, 0x28));
    assert_eq!(
        s,
        set(&[(0x10, 0x28), (0x30, 0x40), (0x50, 0x60)]),
        "touches from above"
    );
    s.insert(region(0x2c, 0x30));
    assert_eq!(
        s,
        set(&[(0x10, 0x28), (0x2c, 0x40), (0x50, 0x60)]),
        "touches from below"
    );
    s.insert(region(0x11, 0x12));
    assert_eq!(s.total(), 0x18 + 0x14 + 0x10, "lies inside");
    s.insert(region(0x27, 0x55));
    assert_eq!(s, set(&[(0x10, 0x60)]), "bridges all");
    s.insert(region(0, 8));
    s.insert(region(0x70, 0x71));
    assert_eq!(s, set(&[(0, 8), (0x10, 0x60), (0x70, 0x71)]));
}

#[test]
fn splits_on_remove() {
    let mut s = set(&[(0x10, 0x40), (0x50, 0x60), (0x70, 0x80)]);
    s.remove(&region(0x20, 0x30));
    assert_eq!(
        s,
        set(&[(0x10, 0x20), (0x30, 0x40), (0x50, 0x60), (0x70, 0x80)]),
        "middle"
    );
    s.remove(&region(0x40, 0x50));
    assert_eq!(s.len(), 4, "a hole already");
    s.remove(&region(0x38, 0x74));
    assert_eq!(
        s,
        set(&[(0x10, 0x20), (0x30, 0x38), (0x74, 0x80)]),
        "over several"
    );
    s.remove(&region(0, 0x100));
    assert!(s.is_empty(), "all");
    s.remove(&region(0, 0x100));
    assert!(s.is_empty(), "nothing there");
    let mut s = set(&[(0x10, 0x40)]);
    s.remove_all(&set(&[(0, 0x11), (0x3f, 0x50)]));
    assert_eq!(s, set(&[(0x11, 0x3f)]));
}

#[test]
fn agrees_with_a_set_of_bytes() {
    let mut bytes = [false; 64];
    let mut s = RegionSet::new();
    let mut random = 1u64;
    for round in 0..20_000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let (a, b) = (random >> 58, (random >> 52) & 63);
        let (start, end) = (a.min(b), a.max(b) + 1);
        let add = random & (1 << 40) != 0;
        if add {
            s.insert(region(start, end));
        } else {
            s.remove(&region(start, end));
        }
        bytes[start as usize..end as usize].fill(add);
        for (address, &expected) in bytes.iter().enumerate() {
            let seen = s.contains(address as u64, 1);
            assert_eq!(seen, expected, "byte {address} in round {round}: {s}");
        }
        let apart = s.regions.windows(2).all(|w| w[0].end() < w[1].start);
        assert!(
            apart,
            "regions touch or are out of order in round {round}: {s}"
        );
    }
}

#[test]
fn looks_up_ranges() {
    let s = set(&[(0x10, 0x20), (0x30, 0x40)]);
    assert!(s.contains(0x10, 0x10));
    assert!(!s.contains(0x10, 0x11), "one byte beyond");
    assert!(!s.contains(0x18, 0x20), "a hole between");
    assert!(!s.contains(0x10, 0), "no bytes");
    assert!(!s.contains(0x10, u64::MAX), "wraps around");
    assert!(s.overlaps(&region(0x1f, 0x28)) && !s.overlaps(&region(0x20, 0x30)));
    assert_eq!(s.enclosing(0x3f), Some(&region(0x30, 0x40)));
    assert_eq!(s.enclosing(0x20), None);
}

#[test]
fn finds_room() {
    let s = set(&[(0x1000, 0x5000), (0x8800, 0xa800)]);
    assert_eq!(s.highest_fit(0x1000, 0x1000), Some(region(0x9000, 0xa000)));
    assert_eq!(s.highest_fit(0x2000, 0x1000), Some(region(0x3000, 0x5000)));
    assert_eq!(s.highest_fit(0x2000, 0x800), Some(region(0x8800, 0xa800)));
    assert_eq!(s.highest_fit(0x5000, 1), None, "no region is that large");
    assert_eq!(s.highest_fit(0x1000, 3), None, "not a power of two");
    assert_eq!(s.highest_fit(0, 1), None, "no bytes");
    assert_eq!(
        s.lowest_fit(0x1000, 0x1000, 0),
        Some(region(0x1000, 0x2000))
    );
    assert_eq!(
        s.lowest_fit(0x1000, 0x1000, 0x1001),
        Some(region(0x2000, 0x3000))
    );
    assert_eq!(
        s.lowest_fit(0x1000, 0x1000, 0x4800),
        Some(region(0x9000, 0xa000))
    );
    assert_eq!(s.lowest_fit(0x1000, 0x1000, u64::MAX), None);
}

#[test]
fn a_part_lies_in_the_whole() {
    let whole = Region::new(0x1000, 0x100).expect("a region");
    for (address, size, is_part) in [
        (0x1000, 0x100, true),
        (0x1000, 1, true),
        (0x10ff, 1, true),
        (0x1080, 0x80, true),
        (0x1000, 0, false),
        (0x1000, 0x101, false),
        (0x1080, 0x81, false),
        (0x1100, 1, false),
        (0xfff, 2, false),
        (0x1080, u64::MAX, false),
        (0, 0x1100, false),
    ] {
        let expected = Region::new(address, size).ok().filter(|_| is_part);
        assert_eq!(
            whole.part(address, size),
            expected,
            "{address:#x}, {size:#x}"
        );
    }
}
