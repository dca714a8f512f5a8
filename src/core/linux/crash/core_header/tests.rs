// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::linux::fake::Ram;

/// Where the crash image is, of which the header is the second segment.
const KERNEL: u64 = 0x5000_0000;
const HEADER: u64 = 0x5200_0000;
const SEGMENT_SIZE: u64 = 0x1000;
/// The notes of three CPUs, not in the order of their addresses, and VMCOREINFO.
const NOTES: [u64; 3] = [0x7f78_4200, 0x7f7b_3200, 0x7f75_5200];
const VMCOREINFO: u64 = 0x4123_0000;
const LAST_NOTE: u64 = 3;
const FIRST_LOAD: u64 = 4;

fn segments() -> [Segment; 3] {
    [
        (KERNEL, 0x1f0_0000),
        (HEADER, SEGMENT_SIZE),
        (0x5300_0000, 0x1000),
    ]
    .map(|(start, size)| Segment {
        file_size: size,
        start,
        size,
    })
}

/// Type, offset, virtual address, address, size in the file and in memory.
type Header = (u32, u64, u64, u64, u64, u64);

fn note(address: u64, size: u64) -> Header {
    (4, address, 0, address, size, size)
}

fn load(address: u64, size: u64) -> Header {
    (1, address, !0 << 47 | address, address, size, size)
}

fn headers() -> Vec<Header> {
    let mut headers = NOTES.map(|address| note(address, 424)).to_vec();
    headers.push(note(VMCOREINFO, 0x1024));
    headers.push(load(0x4000_0000, 0x1000_0000));
    headers.push(load(0xc000_0000, 0x4000_0000));
    headers
}

fn write_file_header(ram: &Ram, at: u64, count: u64) {
    ram.write(at, 0x0001_0102_464c_457f);
    ram.write(at + 0x10, 0x0000_0001_00b7_0004);
    ram.write(at + 0x20, 64);
    ram.write(at + 0x30, 56 << 48 | 64 << 32);
    ram.write(at + 0x38, count);
}

/// Memory with a dump's header.
fn ram(headers: &[Header]) -> Ram {
    let ram = Ram::new();
    write_file_header(&ram, HEADER, headers.len() as u64);
    for (at, header) in (HEADER + 64..).step_by(56).zip(headers) {
        let (kind, offset, virtual_address, address, file_size, size) = *header;
        let words = [
            kind.into(),
            offset,
            virtual_address,
            address,
            file_size,
            size,
            0,
        ];
        for (at, word) in (at..).step_by(8).zip(words) {
            ram.write(at, word);
        }
    }
    ram
}

fn read(ram: &Ram) -> Result<CoreHeader, CoreHeaderError> {
    let mut header = CoreHeader::new();
    let result = header.read(ram, &segments());
    if result.is_err() {
        assert!(header.notes().is_empty(), "{result:?}");
        assert_eq!(header.loads(ram).count(), 0, "{result:?}");
    }
    result.map(|()| header)
}

fn error(ram: &Ram) -> CoreHeaderError {
    read(ram).expect_err("a header that is refused")
}

/// Returns the error with header `number` as `header`.
fn error_with(number: u64, header: Header) -> CoreHeaderError {
    let mut headers = headers();
    headers[number as usize] = header;
    error(&ram(&headers))
}

#[test]
fn reads_notes_and_ram() {
    let ram = ram(&headers());
    let header = read(&ram).unwrap();
    assert_eq!(header.segment(), 1);
    assert_eq!(header.notes(), [0x7f75_5200, 0x7f78_4200, 0x7f7b_3200]);
    let end = VMCOREINFO + 0x1024;
    let vmcoreinfo = Range {
        start: VMCOREINFO,
        end,
    };
    assert_eq!(header.vmcoreinfo(), Some(vmcoreinfo));
    let loads: Vec<_> = header
        .loads(&ram)
        .map(|load| (load.range, load.address))
        .collect();
    let range = |start, end| Range { start, end };
    let expected = [
        (range(0x4000_0000, 0x5000_0000), 0xffff_8000_4000_0000),
        (range(0xc000_0000, 0x1_0000_0000), 0xffff_8000_c000_0000),
    ];
    assert_eq!(loads, expected);
}

#[test]
fn a_header_without_vmcoreinfo_is_one() {
    let mut headers = headers();
    headers.remove(LAST_NOTE as usize);
    let header = read(&ram(&headers)).unwrap();
    assert_eq!((header.notes().len(), header.vmcoreinfo()), (3, None));
}

#[test]
fn a_second_image_leaves_nothing_of_the_first() {
    let mut header = CoreHeader::new();
    header.read(&ram(&headers()), &segments()).unwrap();
    let mut few = headers();
    few.drain(1..=LAST_NOTE as usize);
    header.read(&ram(&few), &segments()).unwrap();
    assert_eq!((header.notes(), header.vmcoreinfo()), (&NOTES[..1], None));
}

#[test]
fn what_is_no_header_is_not_found() {
    // Each bit of what says that it is one, but for the operating system's.
    for bit in (0..56).chain(128..192) {
        let ram = ram(&headers());
        let at = HEADER + bit / 64 * 8;
        ram.write(at, ram.read_u64(at).unwrap() ^ 1 << (bit % 64));
        assert_eq!(error(&ram), CoreHeaderError::NoHeader, "bit {bit}");
    }
    let mut header = CoreHeader::new();
    let ram = ram(&headers());
    for segments in [
        &[][..],
        &segments()[..1],
        &[Segment {
            size: 63,
            ..segments()[1]
        }],
        &[Segment {
            start: HEADER + 4,
            ..segments()[1]
        }],
        &[Segment {
            start: u64::MAX - 7,
            ..segments()[1]
        }],
        &[Segment {
            start: Ram::MONITOR,
            ..segments()[1]
        }],
    ] {
        let result = header.read(&ram, segments);
        assert_eq!(result, Err(CoreHeaderError::NoHeader), "{segments:x?}");
    }
}

#[test]
fn two_headers_are_one_too_many() {
    let ram = ram(&headers());
    write_file_header(&ram, 0x5300_0000, 0);
    let expected = CoreHeaderError::Several {
        first: 1,
        second: 2,
    };
    assert_eq!(error(&ram), expected);
}

#[test]
fn the_table_is_in_its_segment() {
    let table_outside = |offset, entries| CoreHeaderError::TableOutside {
        offset,
        entries,
        size: SEGMENT_SIZE,
    };
    // Over the header, not aligned, beyond the end, around at 64 bits.
    for offset in [
        0,
        56,
        68,
        SEGMENT_SIZE - 56 * 6 + 8,
        u64::MAX - 7,
        0u64.wrapping_sub(56 * 6),
    ] {
        let ram = ram(&headers());
        ram.write(HEADER + 0x20, offset);
        assert_eq!(error(&ram), table_outside(offset, 6));
    }
    let most = (SEGMENT_SIZE - 64) / 56;
    let ram = ram(&headers());
    ram.write(HEADER + 0x38, most);
    assert!(
        read(&ram).is_ok(),
        "the last one ends where the segment does"
    );
    ram.write(HEADER + 0x38, most + 1);
    assert_eq!(error(&ram), table_outside(64, most + 1));
    ram.write(HEADER + 0x38, 0xffff);
    assert_eq!(error(&ram), CoreHeaderError::Headers(0xffff));
    ram.write(HEADER + 0x38, 6);
    ram.write(HEADER + 0x30, 32 << 48);
    assert_eq!(error(&ram), CoreHeaderError::EntrySize(32));
}

#[test]
fn the_segment_is_in_memory() {
    let ram = ram(&headers());
    let size = Ram::END - HEADER;
    let segments = [Segment {
        size,
        ..segments()[1]
    }];
    let expected = CoreHeaderError::SegmentOutside {
        start: HEADER,
        size,
    };
    assert_eq!(CoreHeader::new().read(&ram, &segments), Err(expected));
}

#[test]
fn ranges_do_not_wrap_around() {
    for (number, header) in [
        (1, note(u64::MAX - 7, 424)),
        (LAST_NOTE, note(u64::MAX - 7, 0x1024)),
        (
            FIRST_LOAD,
            load(0x4000_0000, 0u64.wrapping_sub(0x4000_0000)),
        ),
        (FIRST_LOAD, load(u64::MAX, u64::MAX)),
    ] {
        let expected = CoreHeaderError::Wraps {
            number,
            address: header.3,
            size: header.5,
        };
        assert_eq!(error_with(number, header), expected);
    }
}

#[test]
fn a_note_is_where_it_is_read() {
    let number = 1;
    for header in [
        (4, NOTES[1] + 8, 0, NOTES[1], 424, 424),
        (4, NOTES[1], 0, NOTES[1], 400, 424),
        (4, NOTES[1], 0, NOTES[1], 424, 432),
    ] {
        let expected = CoreHeaderError::NoteTwice {
            number,
            address: NOTES[1],
            offset: header.1,
        };
        assert_eq!(error_with(number, header), expected);
    }
}

#[test]
fn a_note_has_the_size_of_one() {
    for size in [0, 423, 425, 1024] {
        let expected = CoreHeaderError::NoteSize { number: 1, size };
        assert_eq!(error_with(1, note(NOTES[1], size)), expected);
    }
    // Behind VMCOREINFO.
    let mut headers = headers();
    headers.push(note(0x7f80_0200, 424));
    let expected = CoreHeaderError::NoteSize {
        number: LAST_NOTE,
        size: 0x1024,
    };
    assert_eq!(error(&ram(&headers)), expected);
}

#[test]
fn a_note_is_in_guest_memory() {
    for address in [
        0,
        Ram::START - 8,
        Ram::MONITOR - 416,
        Ram::MONITOR,
        Ram::UPPER - 8,
        Ram::END - 416,
        0u64.wrapping_sub(424 + 8),
    ] {
        let expected = CoreHeaderError::NoteOutside { number: 2, address };
        assert_eq!(error_with(2, note(address, 424)), expected);
    }
    for address in [Ram::START, Ram::MONITOR - 424, Ram::UPPER, Ram::END - 424] {
        let mut headers = headers();
        headers[2] = note(address, 424);
        assert!(read(&ram(&headers)).is_ok(), "{address:#x}");
    }
    for address in [NOTES[2] + 4, NOTES[2] + 1] {
        let expected = CoreHeaderError::NoteUnaligned { number: 2, address };
        assert_eq!(error_with(2, note(address, 424)), expected);
    }
}

#[test]
fn a_note_is_not_on_the_crash_image() {
    for (address, segment) in [
        (KERNEL - 416, 0),
        (KERNEL + 0x1000, 0),
        (KERNEL + 0x1ef_fff8, 0),
        (HEADER - 8, 1),
        (HEADER + 64, 1),
        (0x5300_0ff8, 2),
    ] {
        let expected = CoreHeaderError::NoteOnSegment {
            number: 0,
            address,
            segment,
        };
        assert_eq!(error_with(0, note(address, 424)), expected);
    }
    for address in [KERNEL - 424, HEADER + SEGMENT_SIZE] {
        let mut headers = headers();
        headers[0] = note(address, 424);
        assert!(read(&ram(&headers)).is_ok(), "{address:#x}");
    }
}

#[test]
fn notes_do_not_overlap() {
    for distance in [0, 8, 416] {
        let expected = CoreHeaderError::NotesOverlap {
            first: NOTES[0],
            second: NOTES[0] + distance,
        };
        assert_eq!(error_with(1, note(NOTES[0] + distance, 424)), expected);
    }
    let mut headers = headers();
    headers[1] = note(NOTES[0] + 424, 424);
    assert!(read(&ram(&headers)).is_ok(), "one behind the other");
}

#[test]
fn there_are_notes_and_not_too_many() {
    let none = [load(0x4000_0000, 0x1000_0000), note(VMCOREINFO, 0x1024)];
    for count in [0, 1, 2] {
        assert_eq!(error(&ram(&none[..count])), CoreHeaderError::NoNotes);
    }
    let headers = |count| -> Vec<_> {
        (0..count)
            .map(|n| note(0x6000_0000 + 0x200 * n, 424))
            .collect()
    };
    let wide = [Segment {
        size: 0x4_0000,
        ..segments()[1]
    }];
    let mut header = CoreHeader::new();
    header.read(&ram(&headers(1024)), &wide).unwrap();
    assert_eq!(header.notes().len(), MAX_NOTES);
    let result = header.read(&ram(&headers(1025)), &wide);
    assert_eq!(result, Err(CoreHeaderError::Notes));
}

#[test]
fn a_flipped_bit_writes_nowhere_else() {
    let whole = ram(&headers());
    let end = HEADER + 64 + 56 * headers().len() as u64;
    for at in (HEADER..end).step_by(8) {
        let word = whole.read_u64(at).unwrap();
        for bit in 0..64 {
            whole.write(at, word ^ 1 << bit);
            if let Ok(header) = read(&whole) {
                let moved = header
                    .notes()
                    .iter()
                    .filter(|note| !NOTES.contains(note))
                    .count();
                assert_eq!(moved, 0, "bit {bit} of {at:#x}");
            }
        }
        whole.write(at, word);
    }
}
