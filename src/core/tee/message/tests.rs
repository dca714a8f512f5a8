// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::linux::fake::Ram;
use alloc::vec::Vec;

const MESSAGE: u64 = Ram::START + 0x1000;
const LIST: u64 = Ram::START + 0x8000;
const INVOKE: u64 = 1;
const VALUE_INOUT: u64 = 3;
const REGISTERED_OUTPUT: u64 = 6;
const TEMPORARY_INPUT: u64 = 9;
const TEMPORARY_INOUT: u64 = 11;

fn message(ram: &Ram, command: u64, params: &[[u64; 4]]) {
    let header = [command, 0x11, 0, (params.len() as u64) << 32];
    for (word, value) in header.iter().chain(params.as_flattened()).enumerate() {
        ram.write(MESSAGE + word as u64 * 8, *value);
    }
}

fn pages(count: usize) -> Vec<Page> {
    (0..count).map(|_| Page::new()).collect()
}

/// Takes the message, with room for three pages of lists.
fn taken(ram: &Ram, page: &Page) -> Result<usize, BadMessage> {
    take(ram, MESSAGE, page, &mut Lists::new(&pages(3), 0))
}

#[track_caller]
fn assert_param(param: [u64; 4], expected: Result<usize, BadMessage>) {
    let ram = Ram::new();
    message(&ram, INVOKE, &[param]);
    assert_eq!(taken(&ram, &Page::new()), expected, "{param:#x?}");
}

#[test]
fn is_copied_with_all_that_it_has() {
    let ram = Ram::new();
    let params = [[VALUE_INOUT, 1, 2, 3], [REGISTERED_OUTPUT, 4, 5, 6]];
    message(&ram, INVOKE, &params);
    let page = Page::new();
    assert_eq!(taken(&ram, &page), Ok(2));
    let words: Vec<u64> = (0..12).map(|word| page.get(word)).collect();
    assert_eq!(words, [1, 0x11, 0, 2 << 32, 3, 1, 2, 3, 6, 4, 5, 6]);
}

#[test]
fn memory_by_address_is_the_guests() {
    let temporary = |start, size| [TEMPORARY_INPUT, start, size, 0];
    let bad = Err(BadMessage::Address);
    assert_param(temporary(Ram::START, 0x1234), Ok(1));
    assert_param(temporary(0, 0), Ok(1));
    assert_param(temporary(Ram::MONITOR - 1, 1), Ok(1));
    assert_param(temporary(Ram::MONITOR - 1, 2), bad);
    assert_param(temporary(Ram::MONITOR, 0), bad);
    assert_param(temporary(Ram::MONITOR + 8, 8), bad);
    assert_param(temporary(0x900_0000, 4), bad);
    assert_param(temporary(u64::MAX, 2), bad);
}

#[test]
fn kinds_and_commands_that_are_not_known_are_refused() {
    let bad = Err(BadMessage::Command);
    for kind in [4, 8, 12, 0x10, 0xff] {
        assert_param([kind, Ram::START, 8, 0], bad);
    }
    let ram = Ram::new();
    for (command, expected) in [(0, Ok(0)), (7, Ok(0)), (8, bad), (0xffff_ffff, bad)] {
        message(&ram, command, &[]);
        assert_eq!(taken(&ram, &Page::new()), expected, "command {command:#x}");
    }
    for (count, expected) in [(127, Ok(127)), (128, bad), (u64::from(u32::MAX), bad)] {
        ram.write(MESSAGE, INVOKE);
        ram.write(MESSAGE + 24, count << 32);
        assert_eq!(taken(&ram, &Page::new()), expected, "{count} parameters");
    }
}

#[test]
fn address_of_a_message_is_the_guests() {
    let ram = Ram::new();
    for address in [
        0,
        Ram::MONITOR,
        Ram::MONITOR - 24,
        MESSAGE + 4,
        u64::MAX - 7,
    ] {
        let seen = take(&ram, address, &Page::new(), &mut Lists::new(&[], 0));
        assert_eq!(seen, Err(BadMessage::Address), "message at {address:#x}");
    }
}

/// Writes a list of `count` pages, and returns them.
fn list(ram: &Ram, count: u64) -> Vec<u64> {
    let pages: Vec<u64> = (0..count)
        .map(|n| Ram::START + 0x10_0000 + n * 2 * PAGE)
        .collect();
    for (n, page) in pages.iter().enumerate() {
        let n = n as u64;
        let at = LIST + n / LISTED * PAGE;
        ram.write(at + n % LISTED * 8, *page);
        ram.write(at + LISTED * 8, at + PAGE);
    }
    pages
}

const NONCONTIGUOUS: u64 = TEMPORARY_INOUT | NONCONTIG;

#[test]
fn lists_of_pages_are_copied() {
    for count in [1, 2, 511, 512, 513, 1023, 1533] {
        let ram = Ram::new();
        let expected = list(&ram, count);
        // From the middle of the first page to the last one's first byte.
        let size = count * PAGE - 0x800;
        message(&ram, 4, &[[NONCONTIGUOUS, LIST + 0x800, size, 7]]);
        let (page, room) = (Page::new(), pages(3));
        let mut lists = Lists::new(&room, 0);
        assert_eq!(take(&ram, MESSAGE, &page, &mut lists), Ok(1));
        assert_eq!(lists.used() as u64, count.div_ceil(LISTED));
        assert_eq!(page.get(5), room[0].address() | 0x800, "{count} pages");
        let mut seen = Vec::new();
        for (n, copy) in room.iter().enumerate().take(lists.used()) {
            let left = count as usize - seen.len();
            seen.extend((0..left.min(511)).map(|word| copy.get(word)));
            if let Some(next) = room.get(n + 1).filter(|_| n + 1 < lists.used()) {
                assert_eq!(copy.get(511), next.address());
            }
        }
        assert_eq!(seen, expected, "{count} pages");
    }
}

#[test]
fn each_page_of_a_list_is_the_guests() {
    for bad in [Ram::MONITOR, Ram::START + 8, 0, u64::MAX] {
        let ram = Ram::new();
        list(&ram, 600);
        ram.write(LIST + PAGE + 8, bad);
        message(&ram, 4, &[[NONCONTIGUOUS, LIST, 600 * PAGE, 7]]);
        assert_eq!(
            taken(&ram, &Page::new()),
            Err(BadMessage::Address),
            "{bad:#x}"
        );
        // Not one that the size does not reach.
        message(&ram, 4, &[[NONCONTIGUOUS, LIST, 512 * PAGE, 7]]);
        assert_eq!(taken(&ram, &Page::new()), Ok(1), "{bad:#x}");
    }
    for next in [Ram::MONITOR, LIST + 8, 0] {
        let ram = Ram::new();
        list(&ram, 600);
        ram.write(LIST + 511 * 8, next);
        message(&ram, 4, &[[NONCONTIGUOUS, LIST, 600 * PAGE, 7]]);
        assert_eq!(
            taken(&ram, &Page::new()),
            Err(BadMessage::Address),
            "{next:#x}"
        );
    }
}

#[test]
fn lists_have_bounds() {
    let ram = Ram::new();
    list(&ram, 1);
    for (size, expected) in [
        (0, Err(BadMessage::Command)),
        (1533 * PAGE + 1, Err(BadMessage::TooMuch)),
        (u64::MAX - PAGE, Err(BadMessage::TooMuch)),
    ] {
        message(&ram, 4, &[[NONCONTIGUOUS, LIST, size, 7]]);
        assert_eq!(taken(&ram, &Page::new()), expected, "{size:#x} bytes");
    }
    message(&ram, 4, &[[NONCONTIGUOUS, LIST + 1, u64::MAX, 7]]);
    assert_eq!(taken(&ram, &Page::new()), Err(BadMessage::Address));
}

#[test]
fn only_outputs_come_back() {
    let ram = Ram::new();
    message(
        &ram,
        INVOKE,
        &[
            [VALUE_INOUT, 1, 2, 3],
            [1, 1, 2, 3],
            [REGISTERED_OUTPUT, 1, 2, 3],
            [TEMPORARY_INOUT, Ram::START, 16, 3],
            [TEMPORARY_INPUT, Ram::START, 16, 3],
        ],
    );
    let page = Page::new();
    let params = taken(&ram, &page).expect("a message");
    for word in 0..HEADER {
        page.set(word, 0xaaaa_0000 + word as u64);
    }
    for at in (0..params).map(|param| HEADER + param * PARAM) {
        (1..PARAM).for_each(|word| page.set(at + word, 0xbb));
    }
    give_back(&ram, MESSAGE, &page, params);
    let seen: Vec<u64> = (0..24)
        .map(|word| ram.read_u64(MESSAGE + word * 8).expect("RAM"))
        .collect();
    assert_eq!(
        seen[..4],
        [1, 0xaaaa_0001, 0xaaaa_0002, 5 << 32 | 0xaaaa_0003]
    );
    assert_eq!(seen[4..8], [VALUE_INOUT, 0xbb, 0xbb, 0xbb]);
    assert_eq!(seen[8..12], [1, 1, 2, 3]);
    assert_eq!(seen[12..16], [REGISTERED_OUTPUT, 1, 0xbb, 3]);
    assert_eq!(seen[16..20], [TEMPORARY_INOUT, Ram::START, 0xbb, 3]);
    assert_eq!(seen[20..24], [TEMPORARY_INPUT, Ram::START, 16, 3]);
}

#[test]
fn an_answer_that_names_the_monitor_is_a_failure() {
    for (start, refused) in [(Ram::START, false), (Ram::MONITOR, true)] {
        let ram = Ram::new();
        let page = Page::new();
        page.set(0, 6);
        page.set(3, 1 << 32);
        assert_eq!(ask(&ram, MESSAGE, PAGE, &page), 1);
        ram.write(MESSAGE + 16, 0);
        // More parameters than there were are none.
        ram.write(MESSAGE + 24, 9 << 32);
        for (word, value) in [TEMPORARY_INOUT, start, 16, 3].into_iter().enumerate() {
            ram.write(MESSAGE + 32 + word as u64 * 8, value);
        }
        answer(&ram, MESSAGE, &page, 1, &mut Lists::new(&[], 0));
        assert_eq!(page.get(3) >> 32, 1, "parameters");
        assert_eq!(page.get(2) != 0, refused, "result for {start:#x}");
        assert_eq!(page.get(4) == 0, refused, "attribute for {start:#x}");
        assert_eq!(page.get(5) == start, !refused);
    }
}
