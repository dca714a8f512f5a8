// SPDX-License-Identifier: Apache-2.0
//! The shares of a plan, as each CPU reads them.

use super::*;
use crate::memory::guest_memory::GuestMemory;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

/// A list as Linux might make it: runs of pages from anywhere, a few of them in place already.
/// Returns the entries, and the source by destination.
fn random_list(random: &mut Random, page: u64, pages: u64) -> (Vec<u64>, HashMap<u64, u64>) {
    let mut sources: Vec<u64> = (0..pages)
        .map(|number| Ram::UPPER + number * page)
        .collect();
    random.shuffle(&mut sources);
    let mut entries = Vec::new();
    let mut moved = HashMap::new();
    let mut destination = Ram::START;
    while let Some(source) = sources.pop() {
        if entries.is_empty() || random.below(pages / 8 + 1) == 0 {
            destination = (destination + random.below(8) * page).next_multiple_of(page);
            entries.push(destination | D);
        }
        let source = if random.below(10) == 0 {
            destination
        } else {
            source
        };
        entries.push(source | S);
        moved.insert(destination, source);
        destination += page;
    }
    entries.push(DONE);
    (entries, moved)
}

#[test]
fn shares_cover_each_page_once() {
    let mut random = Random(0x5eed_0001);
    for page_size in [PageSize::Size4K, PageSize::Size16K, PageSize::Size64K] {
        let page = page_size.bytes();
        for pages in [
            1, 2, 3, 7, 79, 80, 81, 500, 511, 512, 1023, 1024, 1025, 2049, 4000, 5001,
        ] {
            let ram = Ram::new();
            let (entries, moved) = random_list(&mut random, page, pages);
            let list = write_list(&ram, page, &entries);
            let plan = check(&ram, page_size, ALL_RAM, call(list))
                .unwrap_or_else(|error| panic!("{pages}: {error}"));
            assert_eq!(plan.pages(), pages);
            for of in [1, 2, 3, 4, 8, 79, 80, 130, 512, 5000] {
                let ops = all_ops(&plan, &ram, of);
                let seen: HashMap<u64, u64> =
                    ops.iter().map(|op| (op.destination, op.source)).collect();
                assert_eq!(
                    ops.len() as u64,
                    pages,
                    "{pages} pages of {page:#x} shared by {of}"
                );
                assert!(seen == moved, "{pages} pages of {page:#x} shared by {of}");
            }
        }
    }
}

#[test]
fn shares_a_long_list_without_walking_it_all() {
    let ram = Ram::new();
    let mut random = Random(0x5eed_0002);
    let (entries, moved) = random_list(&mut random, 0x1000, 300_000);
    let plan = prepare(&ram, &entries).unwrap();
    assert_eq!(plan.pages(), 300_000);
    let seen: HashSet<u64> = all_ops(&plan, &ram, 80)
        .iter()
        .map(|op| op.destination)
        .collect();
    assert_eq!(seen.len(), moved.len());
    for index in 0..80 {
        let share = plan.share(&ram, index, 80);
        assert_eq!(share.skipped, 0, "CPU {index} passes pages of others");
    }
}

/// Memory in which no word may be read twice.
struct ReadOnce<'a>(&'a Ram, RefCell<HashSet<u64>>);

impl GuestMemory for ReadOnce<'_> {
    fn read_u64(&self, address: u64) -> Option<u64> {
        let first = self.1.borrow_mut().insert(address);
        assert!(first, "the word at {address:#x} is read twice");
        self.0.read_u64(address)
    }

    fn contains(&self, start: u64, size: u64) -> bool {
        self.0.contains(start, size)
    }
}

/// A CPU copies what it has checked: it reads each word once, so that nobody, not even a device,
/// can change it in between.
#[test]
fn a_share_reads_no_entry_twice() {
    let mut random = Random(0x5eed_0004);
    let ram = Ram::new();
    let (entries, moved) = random_list(&mut random, 0x1000, 5000);
    let plan = prepare(&ram, &entries).unwrap();
    let mut pages = 0;
    for index in 0..7 {
        let memory = ReadOnce(&ram, RefCell::default());
        for op in plan.share(&memory, index, 7) {
            let op = op.unwrap();
            assert_eq!(moved.get(&op.destination), Some(&op.source));
            pages += 1;
        }
    }
    assert_eq!(pages, 5000);
}

/// Whatever a device does to the list between the check and the copy, a share ends, and hands out no more
/// pages than are its own.
#[test]
fn shares_end_on_a_list_that_changes() {
    let mut random = Random(0x5eed_0003);
    let ram = Ram::new();
    let (entries, _) = random_list(&mut random, 0x1000, 3000);
    let plan = prepare(&ram, &entries).unwrap();
    let slots = entries.len() as u64 + entries.len() as u64 / 511;
    let values = [
        0,
        DONE,
        S,
        Ram::MONITOR | S,
        Ram::MONITOR | D,
        Ram::MONITOR | I,
        LISTS | I,
        LISTS | D,
        u64::MAX,
        (u64::MAX - 0xfff) | D,
        (u64::MAX - 0xfff) | S,
        (u64::MAX - 0xfff) | I,
        Ram::START | S,
        Ram::START | D,
        0x6000_0000 | D,
        (Ram::END - 0x1000) | I,
    ];
    let (mut refused, mut survived) = (0, 0);
    for round in 0..400 {
        // Half of the time the link of a page, which leads to later pages.
        let slot = match round % 2 {
            0 => random.below(slots),
            _ => random.below(slots / 512) * 512 + 511,
        };
        let at = LISTS + 8 * slot;
        let before = ram.read_u64(at).unwrap();
        ram.write(at, values[random.below(values.len() as u64) as usize]);
        for index in 0..7 {
            let mut share = plan.share(&ram, index, 7);
            let promised = share.pages();
            let mut handed = 0;
            for op in share.by_ref() {
                match op {
                    Ok(op) => {
                        handed += 1;
                        assert!((op.source | op.destination).is_multiple_of(0x1000));
                        assert_eq!(op.copied + op.zeroed, 0x1000);
                    }
                    Err(_) => refused += 1,
                }
            }
            assert!(share.next().is_none(), "goes on after its end");
            assert!(handed <= promised, "{handed} pages, {promised} promised");
            survived += usize::from(handed == promised);
        }
        ram.write(at, before);
    }
    assert!(
        refused > 100 && survived > 1000,
        "{refused} changes refused, {survived} shares whole"
    );
}

#[test]
fn a_busy_cpu_has_fewer_pages_and_all_are_somebodys() {
    for pages in [0, 1, 7, 100, 8_700] {
        for of in [1, 2, 3, 8, 80] {
            for busy in [0, of / 2, of - 1] {
                for work in [0, 1, 50, 10_000] {
                    let what = format!("{pages} pages, CPU {busy} of {of} busy for {work}");
                    let parts: Vec<_> = (0..of)
                        .map(|index| split_beside(pages, index, of, (busy, work)))
                        .map(|part| (part.start, part.end))
                        .collect();
                    let mut next = parts[busy].1;
                    for (index, (first, end)) in parts.iter().enumerate() {
                        if index != busy && first < end {
                            assert_eq!(*first, next, "first page of CPU {index}: {what}");
                            next = *end;
                        }
                    }
                    assert_eq!(next, pages, "pages that are somebody's: {what}");
                    let most = parts.iter().map(|(first, end)| end - first).max();
                    let fair = (pages + work).div_ceil(of as u64);
                    let alone = pages.div_ceil((of as u64 - 1).max(1));
                    assert!(most <= Some(fair.max(alone)), "{most:?}: {what}");
                }
            }
        }
    }
}

#[test]
fn a_busy_cpu_copies_as_much_less_as_it_is_busy() {
    let size = |index| {
        let part = split_beside(1_000, index, 4, (1, 100));
        part.end - part.start
    };
    assert_eq!([0, 1, 2, 3].map(size), [275, 175, 275, 275]);
}
