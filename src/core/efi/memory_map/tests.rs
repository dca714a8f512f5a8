// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::efi::sample;
use alloc::vec::Vec;

const WB: u64 = 0xf;

/// A map whose descriptors have `size` bytes: type, start, pages, attribute.
fn bytes(size: usize, descriptors: &[(u32, u64, u64, u64)]) -> Vec<u8> {
    let parts: Vec<_> = descriptors
        .iter()
        .map(|&(kind, start, pages, attribute)| (kind, start, !0, pages, attribute))
        .collect();
    sample::map(size, &parts)
}

fn region(start: u64, size: u64) -> Region {
    Region::new(start, size).expect("test region")
}

fn with<T>(descriptors: &[(u32, u64, u64, u64)], look: impl FnOnce(MemoryMap<'_>) -> T) -> T {
    look(MemoryMap::new(&bytes(48, descriptors), 48, VERSION).expect("a map"))
}

fn ram(descriptors: &[(u32, u64, u64, u64)]) -> Vec<Region> {
    with(descriptors, |map| map.ram().iter().copied().collect())
}

fn reserved(descriptors: &[(u32, u64, u64, u64)]) -> Vec<Region> {
    with(descriptors, |map| map.reserved().iter().copied().collect())
}

/// The part of the monitor's memory that a kernel may read.
const SHOWN: Region = match Region::new(0xbfc1_0000, 0x1_0000) {
    Ok(region) => region,
    Err(_) => panic!("test region"),
};

#[test]
fn reads_descriptors_of_each_size() {
    let parts = [(7, 0x4000_0000, 16, WB), (11, 0x900_0000, 1, 1 << 63 | 1)];
    for size in [40, 48, 56, 104] {
        let bytes = bytes(size, &parts);
        let map = MemoryMap::new(&bytes, size, VERSION).expect("a map");
        let seen: Vec<_> = map.descriptors().collect();
        let expected = parts.map(|(kind, start, pages, attribute)| Descriptor {
            kind: MemoryType(kind),
            start,
            pages,
            attribute,
        });
        assert_eq!(seen, expected, "descriptors of {size} bytes");
    }
}

#[test]
fn refuses_what_is_no_map() {
    let map = bytes(48, &[(7, 0x4000_0000, 16, WB); 3]);
    let open = |length: usize, descriptor| {
        MemoryMap::new(&map[..length], descriptor, VERSION).map(|map| map.descriptors().count())
    };
    assert_eq!(open(144, 48), Ok(3));
    for (size, descriptor) in [(143, 48), (144, 39), (144, 0), (144, 40), (0, 48), (48, 96)] {
        let expected = Err(MapError::Size { size, descriptor });
        assert_eq!(open(size, descriptor), expected);
    }
    for version in [0, 2, u32::MAX] {
        let seen = MemoryMap::new(&map, 48, version).map(|_| ());
        assert_eq!(seen, Err(MapError::Version(version)));
    }
    let long = alloc::vec![0; (1 << 18) + 64];
    let seen = MemoryMap::new(&long, 64, VERSION).map(|_| ());
    let size = long.len();
    let expected = MapError::Size {
        size,
        descriptor: 64,
    };
    assert_eq!(seen, Err(expected));
}

#[test]
fn ram_is_what_linux_takes() {
    for kind in 0..20 {
        let is_ram = matches!(kind, 1..=4 | 7 | 9 | 14);
        let all = [region(0x4000_0000, 0x2000)];
        let part = [(kind, 0x4000_0000, 2, WB)];
        let expected: &[Region] = if is_ram { &all } else { &[] };
        assert_eq!(ram(&part), expected, "type {kind}");
        let stays = !is_ram || kind == 9;
        let expected: &[Region] = if stays { &all } else { &[] };
        assert_eq!(reserved(&part), expected, "type {kind}");
    }
    let without = |attribute| ram(&[(7, 0x4000_0000, 2, attribute)]);
    assert!(without(WB & !(1 << 3)).is_empty(), "not write-back");
    assert!(without(WB | 1 << 18).is_empty(), "of a specific purpose");
    assert!(!without(WB | 1 << 63 | 1 << 14).is_empty());
}

#[test]
fn ram_is_merged_and_without_what_overlaps_it() {
    let parts = [
        (7, 0x4001_0000, 16, WB),
        (4, 0x4000_0000, 16, WB),
        (0, 0x4000_8000, 1, WB),
        (7, 0x8000_0000, 0, WB),
        (7, u64::MAX - 0xfff, 2, WB),
        (7, 0, u64::MAX, WB),
    ];
    let expected = [region(0x4000_0000, 0x8000), region(0x4000_9000, 0x1_7000)];
    assert_eq!(ram(&parts), expected);
    assert_eq!(reserved(&parts), [region(0x4000_8000, 0x1000)]);
}

#[test]
fn a_kernel_keeps_off_what_is_reserved() {
    let monitor = region(0xbfc0_0000, 0x40_0000);
    let keeps = |parts: &[_]| with(parts, |map| map.keeps_off(&monitor, Some(&SHOWN)));
    let around = [(7, 0x4000_0000, 0x7_fc00, WB), (7, 0xc000_0000, 0x100, WB)];
    assert_eq!(keeps(&around), Ok(()), "in no descriptor");
    for kind in 0..20 {
        let mut parts = around.to_vec();
        parts.push((kind, 0xbfc0_0000, 0x400, WB));
        let descriptor = Descriptor {
            kind: MemoryType(kind),
            start: 0xbfc0_0000,
            pages: 0x400,
            attribute: WB,
        };
        let taken = MapError::Taken {
            monitor,
            descriptor,
        };
        let expected = if matches!(kind, 0 | 8 | 11..=13) {
            Ok(())
        } else {
            Err(taken)
        };
        assert_eq!(keeps(&parts), expected, "type {kind}");
    }
}

#[test]
fn a_kernel_may_read_what_it_is_shown() {
    let monitor = region(0xbfc0_0000, 0x40_0000);
    let below = (0, 0xbfc0_0000, 0x10, WB);
    let above = (0, 0xbfc2_0000, 0x3e0, WB);
    let keeps = |kind, start, pages| {
        let parts = [below, (kind, start, pages, WB), above];
        with(&parts, |map| map.keeps_off(&monitor, Some(&SHOWN)).is_ok())
    };
    assert!(keeps(9, 0xbfc1_0000, 0x10), "all of it");
    assert!(keeps(9, 0xbfc1_1000, 1), "a part");
    assert!(!keeps(9, 0xbfc1_0000, 0x11), "more");
    assert!(!keeps(9, 0xbfc0_f000, 2), "what is before it");
    assert!(!keeps(7, 0xbfc1_0000, 0x10), "as free memory");
}

#[test]
fn every_descriptor_counts_whatever_its_attributes() {
    let monitor = region(0xbfc0_0000, 0x40_0000);
    let reserved = (0, 0xbfc0_0000, 0x400, WB);
    for part in [
        (7, 0xbfff_f000, 1, 0),
        (7, 0xbfc0_0000, 1, WB | 1 << 18),
        (4, 0, 0x10_0000, WB),
        (7, u64::MAX - 0xfff, 2, WB),
        (7, 0, u64::MAX, WB),
    ] {
        let (kind, start, pages, attribute) = part;
        let taken = MapError::Taken {
            monitor,
            descriptor: Descriptor {
                kind: MemoryType(kind),
                start,
                pages,
                attribute,
            },
        };
        let seen = with(&[reserved, part], |map| {
            map.keeps_off(&monitor, Some(&SHOWN))
        });
        assert_eq!(seen, Err(taken));
    }
    let empty = (7, 0xbfc0_0000, 0, WB);
    assert_eq!(
        with(&[reserved, empty], |map| map
            .keeps_off(&monitor, Some(&SHOWN))),
        Ok(())
    );
}

#[test]
fn an_error_names_the_descriptor() {
    let monitor = region(0xbfc0_0000, 0x40_0000);
    let seen = with(&[(7, 0xbfc0_0000, 0x400, WB)], |map| {
        map.keeps_off(&monitor, Some(&SHOWN))
    });
    assert_eq!(
        seen.expect_err("taken").to_string(),
        "memory map: 0xbfc00000-0xc0000000 (4 MiB) is not kept off, in \
         0xbfc00000-0xc0000000 (4 MiB), type 7, attribute 0xf"
    );
}

/// The map that Debian's EDK2 2022.11 gives on QEMU 7.2, `-M virt -m 1G`, as Linux 6.1 prints it; and
/// what that takes as its memory without `nomap`.
#[test]
fn reads_the_map_of_edk2_as_linux_does() {
    let map = [
        (7, 0x4000_0000, 0x4000, WRITE_BACK),
        (4, 0x4400_0000, 0x20, WRITE_BACK),
        (7, 0x4402_0000, 0x36fa, WRITE_BACK),
        (4, 0x4771_a000, 0x21, WRITE_BACK),
        (3, 0x4773_b000, 0x37, WRITE_BACK),
        (4, 0x4777_2000, 0x780, WRITE_BACK),
        (3, 0x47ef_2000, 0x4, WRITE_BACK),
        (4, 0x47ef_6000, 0x101, WRITE_BACK),
        (3, 0x47ff_7000, 0x3, WRITE_BACK),
        (4, 0x47ff_a000, 0x6, WRITE_BACK),
        (7, 0x4800_0000, 0x3_04a2, WRITE_BACK),
        (1, 0x784a_2000, 0x2020, WRITE_BACK),
        (7, 0x7a4c_2000, 0x1d5e, WRITE_BACK),
        (2, 0x7c22_0000, 0x200, WRITE_BACK),
        (7, 0x7c42_0000, 0xf, WRITE_BACK),
        (2, 0x7c42_f000, 0x1, WRITE_BACK),
        (9, 0x7c43_0000, 0x10, WRITE_BACK),
        (5, 0x7c44_0000, 0x80, RUNTIME | WRITE_BACK),
        (6, 0x7c4c_0000, 0x1c0, RUNTIME | WRITE_BACK),
        (5, 0x7c68_0000, 0xb0, RUNTIME | WRITE_BACK),
        (7, 0x7c73_0000, 0x5fa, WRITE_BACK),
        (4, 0x7cd2_a000, 0x28fa, WRITE_BACK),
        (7, 0x7f62_4000, 0x1e1, WRITE_BACK),
        (3, 0x7f80_5000, 0x3fb, WRITE_BACK),
        (5, 0x7fc0_0000, 0x190, RUNTIME | WRITE_BACK),
        (6, 0x7fd9_0000, 0x250, RUNTIME | WRITE_BACK),
        (7, 0x7ffe_0000, 0x1f, WRITE_BACK),
        (4, 0x7fff_f000, 0x1, WRITE_BACK),
        (11, 0x400_0000, 0x4000, RUNTIME | 2),
        (11, 0x901_0000, 0x1, RUNTIME | 1),
    ];
    let expected = [
        region(0x4000_0000, 0x3c44_0000),
        region(0x7c73_0000, 0x34d_0000),
        region(0x7ffe_0000, 0x2_0000),
    ];
    assert_eq!(ram(&map), expected);
    let kept = [
        region(0x400_0000, 0x400_0000),
        region(0x901_0000, 0x1000),
        region(0x7c43_0000, 0x30_0000),
        region(0x7fc0_0000, 0x3e_0000),
    ];
    assert_eq!(reserved(&map), kept);
    let keeps = |start, size| {
        with(&map, |map| {
            map.keeps_off(&region(start, size), Some(&SHOWN)).is_ok()
        })
    };
    assert!(!keeps(0x7ca0_0000, 0x20_0000), "free memory");
    assert!(!keeps(0x7c50_0000, 0x1000), "of runtime services");
    assert!(keeps(0x8000_0000, 0x20_0000), "no memory at all");
}

#[test]
fn free_is_what_nobody_has() {
    let parts = [
        (7, 0x4000_0000, 0x100, WB),
        (4, 0x4010_0000, 0x100, WB),
        (7, 0x4020_0000, 0x100, WB),
        (7, 0x4030_0000, 0x100, 1),
        // It says of a part of the third that it is something else.
        (0, 0x4020_0000, 0x10, WB),
    ];
    let free = with(&parts, |map| map.free());
    let expected = [
        region(0x4000_0000, 0x10_0000),
        region(0x4021_0000, 0xf_0000),
    ];
    assert!(free.iter().eq(&expected), "{free}");
}

#[test]
fn virtual_addresses_are_found_where_firmware_is_at_run_time() {
    let bytes = sample::map(
        48,
        &[
            (6, 0x4000_0000, 0x2000_0000, 2, RUNTIME | WB),
            (6, 0x5000_0000, 0x3000_0000, 2, WB),
            (6, 0x6000_0000, 0, 2, RUNTIME | WB),
            (6, !0xfff, 0x7000_0000, 2, RUNTIME | WB),
        ],
    );
    let map = MemoryMap::new(&bytes, 48, VERSION).expect("a map");
    for (address, expected) in [
        (0x2000_0000, 0x4000_0000),
        (0x2000_1fff, 0x4000_1fff),
        (0x2000_2000, 0x2000_2000),
        (0x3000_0000, 0x3000_0000),
        (0x10, 0x10),
        (0x7000_1800, 0x7000_1800),
    ] {
        assert_eq!(map.physical(address), expected, "of {address:#x}");
    }
}

#[test]
fn changes_take_a_part_of_a_descriptor() {
    let parts = [
        (7, 0x4000_0000, 0, 0x100, WB),
        (5, 0x4010_0000, 0x2000_0000, 0x100, RUNTIME | WB),
    ];
    let bytes = sample::map(56, &parts);
    let map = MemoryMap::new(&bytes, 56, VERSION).expect("a map");
    assert_eq!(map.with(&[]), bytes);
    assert_eq!(
        map.with(&[(region(0x5000_0000, 0x1000), MemoryType::RESERVED)]),
        bytes,
        "what the map does not have"
    );
    let changed = map.with(&[
        (region(0x4001_0000, 0x1000), MemoryType::RESERVED),
        (region(0x400f_0000, 0x2_0000), MemoryType::ACPI_RECLAIM),
    ]);
    let expected = [
        (7, 0x4000_0000, 0, 0x10, WB),
        (0, 0x4001_0000, 0, 1, WB),
        (7, 0x4001_1000, 0, 0xdf, WB),
        (9, 0x400f_0000, 0, 0x10, WB),
        (9, 0x4010_0000, 0x2000_0000, 0x10, RUNTIME | WB),
        (5, 0x4011_0000, 0x2001_0000, 0xf0, RUNTIME | WB),
    ];
    assert_eq!(changed, sample::map(56, &expected));
    let changed = MemoryMap::new(&changed, 56, VERSION).expect("a map");
    let kept_off = region(0x4001_0000, 0x1000);
    assert_eq!(changed.keeps_off(&kept_off, Some(&SHOWN)), Ok(()));
    assert!(map.keeps_off(&kept_off, Some(&SHOWN)).is_err(), "before");
}
