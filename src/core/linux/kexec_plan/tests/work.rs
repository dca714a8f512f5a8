// SPDX-License-Identifier: Apache-2.0
//! How much of the check is whose.

use super::forms::{sources, write};
use super::*;
use std::cell::RefCell;

/// Memory that counts how often each word is read.
struct Counted<'a>(&'a Ram, RefCell<std::collections::HashMap<u64, u64>>);

impl Counted<'_> {
    fn reads(&self) -> u64 {
        self.1.borrow().values().sum()
    }
}

impl GuestMemory for Counted<'_> {
    fn read_u64(&self, address: u64) -> Option<u64> {
        *self.1.borrow_mut().entry(address).or_default() += 1;
        self.0.read_u64(address)
    }

    fn contains(&self, start: u64, size: u64) -> bool {
        self.0.contains(start, size)
    }
}

/// Has 512 CPUs check the list, each but the boot CPU with a bound for the entries that it reads; returns how
/// many the boot CPU reads alone, and what it says.
fn check_by_many(ram: &Ram, plan: &mut Plan, entries: u64) -> (u64, Result<(), PlanError>) {
    let mut parts = vec![Part::new(); 512];
    let own = Counted(ram, RefCell::default());
    let page = PageSize::Size4K;
    let mut seen = plan
        .begin(&own, page, ALL_RAM, call(LISTS), 512)
        .map(|()| Round::More);
    while seen == Ok(Round::More) {
        for (index, part) in parts.iter_mut().enumerate() {
            let memory = Counted(ram, RefCell::default());
            plan.work(&memory, index, part);
            let (seen, most) = (memory.reads(), entries / 512 + 16);
            assert!(
                seen <= most,
                "CPU {index} read {seen} entries, expected {most}"
            );
        }
        seen = plan.advance(&own, parts.iter());
    }
    (own.reads(), seen.map(|_| ()))
}

/// What the boot CPU reads alone is a small share of a long list, and so is what it takes a CPU to find the
/// beginning of its part.
#[test]
fn shares_out_nearly_all_of_a_long_list() {
    let count = 280_000;
    let ram = Ram::new();
    write(&ram, &sources(count));
    let mut plan = new_plan();
    let (seen, verdict) = check_by_many(&ram, &mut plan, count);
    verdict.expect("a sound list");
    let most = 2 * count / 511 + 16;
    assert!(
        seen <= most,
        "the boot CPU read {seen} entries, expected {most}"
    );
    for index in 0..512 {
        let memory = Counted(&ram, RefCell::default());
        let first = plan.share(&memory, index, 512).next();
        assert!(matches!(first, Some(Ok(_))), "CPU {index} has no page");
        let seen = memory.reads();
        assert!(
            seen <= 16,
            "CPU {index} read {seen} entries for its first page"
        );
    }
}

/// Nor does it walk the list to say which entry of a long one is wrong.
#[test]
fn names_what_is_wrong_in_a_long_list_without_a_walk() {
    let count = 280_000;
    for at in [600, count / 2, count - 1, count + 1] {
        for (value, fault) in [
            (0x1100 | S, Fault::Unaligned),
            (0x1000, Fault::Flags),
            (Ram::MONITOR | S, Fault::SourceOutside),
        ] {
            let ram = Ram::new();
            let mut entries = sources(count);
            entries[at as usize] = value;
            write(&ram, &entries);
            let (seen, verdict) = check_by_many(&ram, &mut new_plan(), count);
            let is_last = at > count;
            match verdict {
                Err(PlanError::List(error)) if error.fault == fault => {}
                // A source in place of the end: the list goes on.
                Err(_) if is_last && fault == Fault::SourceOutside => continue,
                other => panic!("expected {fault} at {at}, saw {other:?}"),
            }
            // Without segments, a source outside is named before one that is overwritten: by a walk.
            if fault != Fault::SourceOutside {
                let most = 2 * count / 511 + count / 512 * 2 + 64;
                assert!(
                    seen <= most,
                    "the boot CPU read {seen} entries, expected {most}"
                );
            }
        }
    }
}
