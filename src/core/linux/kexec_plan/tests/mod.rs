// SPDX-License-Identifier: Apache-2.0
//! Helpers of the tests of a plan: lists in a guest's memory.

mod forms;
mod lists;
mod segments;
mod shares;
mod work;

use super::*;
use crate::linux::fake::Ram;
use crate::linux::kexec_list::{Entry, Fault, ListError};
use crate::linux::kimage::{Kimage, Segment};
use baton_abi::{IND_DESTINATION, IND_DONE, IND_INDIRECTION, IND_SOURCE};

const D: u64 = IND_DESTINATION;
const I: u64 = IND_INDIRECTION;
const S: u64 = IND_SOURCE;
const DONE: u64 = IND_DONE;

/// Where tests put the pages of a list.
const LISTS: u64 = Ram::END - 0x1000_0000;
const ENTRY: u64 = 0x4000_0000;
const TREE: u64 = 0x4100_0000;
const ALL_RAM: u64 = (Ram::END - Ram::START) / 0x1000;

/// A generator of random numbers with a fixed seed (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}

/// Writes a list as Linux does: the last entry of each page links to the next one.
fn write_list(ram: &Ram, page: u64, entries: &[u64]) -> u64 {
    let per_page = (page / 8 - 1) as usize;
    for (number, chunk) in entries.chunks(per_page).enumerate() {
        let at = LISTS + number as u64 * page;
        for (slot, entry) in chunk.iter().enumerate() {
            ram.write(at + 8 * slot as u64, *entry);
        }
        ram.write(at + page - 8, (at + page) | I);
    }
    LISTS
}

fn call(list: u64) -> Request<'static> {
    Request::Call {
        list,
        entry: ENTRY,
        device_tree: TREE,
    }
}

fn new_plan() -> Box<Plan> {
    Box::new(Plan::new())
}

/// How many CPUs a request is checked by.
const CPUS: [usize; 6] = [1, 2, 3, 7, 80, 512];

/// Checks a request by different numbers of CPUs, and by the walk alone: all must say the same. Returns what
/// they say.
fn check(
    memory: &impl GuestMemory,
    page: PageSize,
    max_pages: u64,
    request: Request<'_>,
) -> Result<Box<Plan>, PlanError> {
    let by = |of| {
        let mut plan = new_plan();
        let parts = &mut vec![Part::new(); of];
        let checked = plan.prepare(memory, page, max_pages, request, parts);
        assert!(checked.is_ok() || plan.pages() == 0, "pages of no plan");
        checked.map(|()| plan)
    };
    // Without any part, the list is walked.
    let walked = by(0);
    for of in CPUS {
        match (by(of), &walked) {
            (Err(seen), Err(expected)) => assert_eq!(seen, *expected, "{of} CPUs"),
            (Ok(seen), Ok(expected)) => expect_same(memory, &seen, expected, of),
            (Ok(_), Err(expected)) => panic!("{of} CPUs: expected {expected}, saw a plan"),
            (Err(seen), Ok(_)) => panic!("{of} CPUs: expected a plan, saw {seen}"),
        }
    }
    by(1)
}

/// Expects two plans to say the same.
fn expect_same(memory: &impl GuestMemory, seen: &Plan, expected: &Plan, of: usize) {
    let facts = |plan: &Plan| {
        let tree: Vec<_> = plan.device_tree_pages(memory).take(600).collect();
        (plan.next_kernel(), plan.destinations().to_vec(), tree)
    };
    assert_eq!(facts(seen), facts(expected), "{of} CPUs");
    assert_eq!(
        (seen.pages(), seen.device_tree, seen.zeroes),
        (expected.pages(), expected.device_tree, expected.zeroes),
        "{of} CPUs"
    );
    let ops = |plan: &Plan| plan.share(memory, 0, 1).collect::<Vec<_>>();
    assert!(ops(seen) == ops(expected), "{of} CPUs have other pages");
}

fn prepare(ram: &Ram, entries: &[u64]) -> Result<Box<Plan>, PlanError> {
    let list = write_list(ram, 0x1000, entries);
    check(ram, PageSize::Size4K, ALL_RAM, call(list))
}

/// Returns the fault for which a list is refused, and the number of the entry.
fn refused(entries: &[u64]) -> (Fault, u64) {
    match prepare(&Ram::new(), entries) {
        Err(PlanError::List(error)) => {
            assert_eq!(error.entry.at, LISTS + 8 * error.entry.index, "{error}");
            (error.fault, error.entry.index)
        }
        other => panic!(
            "expected a refusal of {entries:x?}, saw {:?}",
            other.map(|plan| plan.pages())
        ),
    }
}

/// Returns the pages of all shares of a plan.
fn all_ops(plan: &Plan, ram: &Ram, of: usize) -> Vec<Op> {
    let shares: Vec<Vec<Op>> = (0..of)
        .map(|index| {
            let share = plan.share(ram, index, of);
            let promised = share.pages();
            let ops: Vec<_> = share.map(|op| op.unwrap()).collect();
            assert_eq!(ops.len() as u64, promised, "share {index} of {of}");
            ops
        })
        .collect();
    let sizes = shares.iter().map(Vec::len);
    assert!(
        sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1,
        "shares of {of} are not even"
    );
    shares.concat()
}

#[test]
fn fits_in_the_monitor() {
    let size = size_of::<Plan>();
    assert!(size <= 16 << 10, "a plan has {size} bytes");
    let size = size_of::<Part>();
    assert!(size <= 512, "a part has {size} bytes");
}
