// SPDX-License-Identifier: Apache-2.0
//! Plans the copies of a kexec's list: any number of CPUs finds the same; the copies stay in guest memory,
//! may be made in any order, and have the result of the kernel's own relocation.
#![no_main]

use baton_abi::{IND_DESTINATION, IND_DONE, IND_INDIRECTION, IND_SOURCE};
use baton_core::linux::image::{MAGIC, MAGIC_OFFSET, PageSize};
use baton_core::linux::kexec_plan::{Op, Part, Plan, Request};
use baton_core::linux::kimage::Kimage;
use baton_core::memory::guest_memory::GuestMemory;
use baton_fuzz::input::Input;
use baton_fuzz::memory::Memory;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

const FLAGS: u64 = 0xf;
const FDT_MAGIC: u64 = 0xd00d_feed_u32.swap_bytes() as u64;
/// The page of the `kimage`, and the first one of its list.
const KIMAGE: u64 = 8;
const LIST: u64 = 9;

thread_local! {
    static PLAN: RefCell<Box<Plan>> = RefCell::new(Box::default());
}

/// Writes to memory as the input says, up to its end or a mark in it.
fn write(memory: &mut Memory, page: u64, input: &mut Input<'_>) {
    let mut at = memory.address(LIST);
    while !input.is_empty() {
        let kind = input.u8();
        let value = match kind % 16 {
            0..=3 => memory.pick(input) | IND_SOURCE,
            4..=5 => memory.pick(input) | IND_DESTINATION,
            6 => {
                // The list goes on at another page; it is Linux's if that is linked to last.
                let next = memory.pick(input);
                if kind & 16 != 0 && page == 0x1000 {
                    let last = at | (page - 8);
                    while at != last {
                        memory.write(at, next | IND_SOURCE);
                        at = at.wrapping_add(8);
                    }
                }
                memory.write(at, next | IND_INDIRECTION);
                at = next;
                continue;
            }
            7 => IND_DONE,
            8 => {
                // Several pages in a row, as a kernel's segments are.
                let (first, count) = (memory.pick(input), u64::from(input.u8() % 32));
                for number in 0..count {
                    let source = first.wrapping_add(number.wrapping_mul(page));
                    memory.write(at, source | IND_SOURCE);
                    at = at.wrapping_add(8);
                }
                continue;
            }
            9 => {
                let place = memory.pick(input);
                let what = input.choice(&[FDT_MAGIC, u64::from(MAGIC)]);
                let offset = if what == FDT_MAGIC {
                    0
                } else {
                    MAGIC_OFFSET as u64
                };
                memory.write(place.wrapping_add(offset), what);
                continue;
            }
            10 => {
                let field = u64::from(input.u8()) % 71 * 8;
                let value = memory.pick(input);
                memory.write(memory.address(KIMAGE) + field, value);
                continue;
            }
            11 => {
                let (number, start) = (u64::from(input.u8() % 16), memory.pick(input));
                let (size, file) = (u64::from(input.u8()) * page, u64::from(input.u8()) * 0x800);
                let segment = memory.address(KIMAGE) + 0x40 + 0x20 * number;
                for (offset, value) in [(8, file), (16, start), (24, size)] {
                    memory.write(segment + offset, value);
                }
                continue;
            }
            12 => {
                at = memory.pick(input).wrapping_add(u64::from(input.u8()) * 8);
                continue;
            }
            13 => input.edge(),
            14 => at & !(page - 1) | IND_INDIRECTION,
            _ => return,
        };
        memory.write(at, value);
        at = at.wrapping_add(8);
    }
}

/// Returns what a sound list asks for, read as `relocate_kernel.S` does: source and destination of
/// each page, in the list's order, and the pages of the list itself.
fn asked(memory: &Memory, page: u64, first: u64) -> (Vec<(u64, u64)>, HashSet<u64>) {
    let (mut moves, mut pages) = (Vec::new(), HashSet::new());
    let (mut at, mut destination) = (first, None);
    pages.insert(first);
    loop {
        let entry = memory.read_u64(at).expect("a list in memory");
        at += 8;
        let address = entry & !FLAGS;
        match entry & FLAGS {
            IND_SOURCE => {
                let to: &mut u64 = destination.as_mut().expect("a destination");
                moves.push((address, *to));
                *to += page;
            }
            IND_DESTINATION => destination = Some(address),
            IND_INDIRECTION => {
                assert!(pages.insert(address), "a loop was planned");
                at = address;
            }
            IND_DONE => return (moves, pages),
            flags => panic!("flags {flags:#x} were planned"),
        }
    }
}

/// Checks that `op` may be in a plan at all.
fn check_op(memory: &Memory, plan: &Plan, op: &Op) {
    let page = plan.page_size();
    assert!(memory.contains(op.source, page), "{op:x?} reads elsewhere");
    assert!(
        memory.contains(op.destination, page),
        "{op:x?} writes elsewhere"
    );
    assert!((op.source | op.destination).is_multiple_of(page), "{op:x?}");
    assert_eq!(op.copied.checked_add(op.zeroed), Some(page), "{op:x?}");
    let mut bounds = plan.destinations().iter();
    let planned = bounds.any(|range| range.holds(op.destination));
    assert!(planned || op.is_in_place(), "{op:x?} was not planned");
    let mut bounds = plan.destinations().iter();
    let overwritten = bounds.any(|range| range.holds(op.source));
    assert!(
        !overwritten || op.is_in_place(),
        "{op:x?} reads what is copied over"
    );
}

/// Returns the pages of all CPUs, in the order of the list.
fn shared(memory: &Memory, plan: &Plan, of: usize) -> Vec<Op> {
    let mut all = Vec::new();
    let mut sizes = Vec::new();
    for index in 0..of {
        let share = plan.share(memory, index, of);
        let promised = share.pages();
        let ops: Vec<Op> = share.map(|op| op.expect("a list that holds")).collect();
        assert_eq!(ops.len() as u64, promised, "share {index} of {of}");
        sizes.push(ops.len());
        all.extend(ops);
    }
    assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
    assert_eq!(plan.share(memory, of, of).count(), 0);
    all
}

/// Returns where the pages of the next kernel's device tree are.
fn tree_pages(memory: &Memory, plan: &Plan) -> Vec<u64> {
    plan.device_tree_pages(memory).collect()
}

/// Checks a plan against the list that it was made from.
fn check_plan(memory: &Memory, plan: &Plan, first: Option<u64>, cpus: usize) {
    let page = plan.page_size();
    let ops = shared(memory, plan, 1);
    assert_eq!(ops.len() as u64, plan.pages());
    for of in [2, 3, cpus] {
        assert_eq!(shared(memory, plan, of), ops, "shares of {of}");
    }
    let (moves, lists) = first.map_or_else(Default::default, |at| asked(memory, page, at));
    let listed = ops.iter().take(moves.len());
    let planned: Vec<_> = listed.map(|op| (op.source, op.destination)).collect();
    assert_eq!(planned, moves, "the plan is not the list");

    let mut destinations = HashSet::new();
    for op in &ops {
        check_op(memory, plan, op);
        assert!(destinations.insert(op.destination), "{op:x?} comes twice");
        let over_list = lists.contains(&op.destination) && !op.is_in_place();
        assert!(!over_list, "{op:x?} is over the list");
        assert!(!op.is_in_place() || op.zeroed == 0, "{op:x?}");
    }
    for op in &ops {
        assert!(
            op.is_in_place() || !destinations.contains(&op.source),
            "{op:x?} reads what another page is copied over"
        );
    }
    // Which page's first content each page has in the end: copied in the list's order, and in
    // reverse.
    let copy = |order: &mut dyn Iterator<Item = &(u64, u64)>| {
        let mut held: HashMap<u64, u64> = HashMap::new();
        for (source, destination) in order {
            let page = held.get(source).copied().unwrap_or(*source);
            held.insert(*destination, page);
        }
        held
    };
    assert_eq!(copy(&mut moves.iter()), copy(&mut planned.iter().rev()));
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let kind = input.u8();
    let cpus = usize::from(input.u8() % 80) + 1;
    let page_size = [PageSize::Size4K, PageSize::Size16K, PageSize::Size64K][usize::from(kind % 3)];
    let page = page_size.bytes();
    let high = 0u64.wrapping_sub(256 * page);
    let start = if kind & 8 == 0 { 0x4000_0000 } else { high };
    let mut memory = Memory::new(page, start);
    let by_call = kind & 16 != 0;
    let (entry, device_tree) = (memory.pick(&mut input), memory.pick(&mut input));

    let at = memory.address(KIMAGE);
    memory.write(at, memory.address(LIST) | IND_INDIRECTION);
    memory.write(at + 0x18, entry);
    memory.write(at + 0x38, u64::from(kind >> 5) + 1);
    write(&mut memory, page, &mut input);

    PLAN.with_borrow_mut(|plan| {
        let kimage;
        let (request, first) = if by_call {
            let list = memory.address(LIST);
            let request = Request::Call {
                list,
                entry,
                device_tree,
            };
            (request, Some(list))
        } else {
            match Kimage::read(&memory, at) {
                Ok(read) => kimage = read,
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    return;
                }
            }
            let linked = kimage.head() & FLAGS == IND_INDIRECTION;
            let first = linked.then_some(kimage.head() & !FLAGS);
            (Request::Kimage(&kimage), first)
        };
        // Without any part, the list is walked.
        let mut prepare = |of| {
            let parts = &mut vec![Part::new(); of];
            let checked = plan.prepare(&memory, page_size, Memory::pages(), request, parts);
            checked.map(|()| {
                (
                    shared(&memory, plan, 1),
                    plan.next_kernel(),
                    tree_pages(&memory, plan),
                )
            })
        };
        let walked = prepare(0);
        for of in [1, 3, cpus] {
            assert_eq!(prepare(of), walked, "checked by {of} CPUs");
        }
        match walked {
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert_eq!(plan.pages(), 0);
                assert_eq!(plan.share(&memory, 0, 1).count(), 0);
            }
            Ok((_, next, _)) => {
                assert!(memory.contains(next.entry, 4), "{next:x?}");
                assert!(next.x0 == 0 || memory.contains(next.x0, 8), "{next:x?}");
                check_plan(&memory, plan, first, cpus);
                let pages = tree_pages(&memory, plan).len() as u64;
                let most = plan.device_tree().map_or(0, |tree| tree.size / page + 1);
                assert!(pages <= most, "{pages} pages of a device tree of {most}");
                // A device goes on writing: shares end, and have whole pages.
                write(&mut memory, page, &mut input);
                for index in 0..cpus {
                    let mut share = plan.share(&memory, index, cpus);
                    let most = share.pages() as usize;
                    let ops: Vec<Op> = share.by_ref().flatten().collect();
                    assert!(ops.len() <= most && share.next().is_none(), "share {index}");
                    for op in ops {
                        let whole = (op.source | op.destination).is_multiple_of(page);
                        assert!(
                            whole && op.copied.checked_add(op.zeroed) == Some(page),
                            "{op:x?}"
                        );
                    }
                }
            }
        }
    });
});
