// SPDX-License-Identifier: Apache-2.0
//! Plans of a KEXEC call: which lists are taken, and which are refused.

use super::*;

#[test]
fn plans_a_small_list() {
    let ram = Ram::new();
    let plan = prepare(
        &ram,
        &[
            0x5000_0000 | D,
            0x6000_0000 | S,
            0x5000_1000 | S,
            0x5200_0000 | D,
            0x6000_1000 | S,
            DONE,
        ],
    )
    .unwrap();
    assert_eq!(plan.pages(), 3);
    assert_eq!(plan.page_size(), 0x1000);
    assert_eq!(
        plan.next_kernel(),
        NextKernel {
            entry: ENTRY,
            x0: TREE
        }
    );
    assert_eq!(
        plan.destinations(),
        [
            Range {
                start: 0x5000_0000,
                end: 0x5000_2000
            },
            Range {
                start: 0x5200_0000,
                end: 0x5200_1000
            }
        ]
    );
    let op = |source, destination| Op {
        source,
        destination,
        copied: 0x1000,
        zeroed: 0,
    };
    let expected = [
        op(0x6000_0000, 0x5000_0000),
        op(0x5000_1000, 0x5000_1000),
        op(0x6000_1000, 0x5200_0000),
    ];
    assert_eq!(all_ops(&plan, &ram, 1), expected);
    assert_eq!(expected.map(|op| op.is_in_place()), [false, true, false]);
    assert_eq!(
        plan.share(&ram, 3, 3).count(),
        0,
        "there is no fourth of three"
    );
    assert_eq!(plan.share(&ram, 0, 0).count(), 0);
}

#[test]
fn plans_for_memory_that_begins_at_zero() {
    let ram = Ram::from_zero();
    let list = [D, 0x6000_0000 | S, 0x6000_1000 | S, DONE];
    let plan = prepare(&ram, &list).unwrap();
    let expected = Range {
        start: 0,
        end: 0x2000,
    };
    assert_eq!(plan.destinations(), [expected]);
    let again = [D, 0x6000_0000 | S, D, 0x6000_1000 | S, DONE];
    match prepare(&ram, &again) {
        Err(PlanError::List(error)) => assert_eq!(error.fault, Fault::DestinationTwice),
        other => panic!(
            "expected a refusal, saw {:?}",
            other.map(|plan| plan.pages())
        ),
    }
}

#[test]
fn takes_an_empty_list() {
    let ram = Ram::new();
    let plan = prepare(&ram, &[DONE]).unwrap();
    assert_eq!(plan.pages(), 0);
    assert_eq!(all_ops(&plan, &ram, 5), []);
}

#[test]
fn refuses_wrong_entries() {
    let d = 0x5000_0000 | D;
    let s = 0x6000_0000 | S;
    for (entries, expected) in [
        (&[0][..], (Fault::Flags, 0)),
        (&[d, 0x6000_0000 | S | D, DONE], (Fault::Flags, 1)),
        (&[d, 0x6000_0010 | S, DONE], (Fault::Unaligned, 1)),
        (&[d, 0x6000_0800 | S, DONE], (Fault::Unaligned, 1)),
        (&[0x5000_0020 | D, s, DONE], (Fault::Unaligned, 0)),
        (&[s, DONE], (Fault::NoDestination, 0)),
        (&[d, S, DONE], (Fault::SourceOutside, 1)),
        (&[d, Ram::MONITOR | S, DONE], (Fault::SourceOutside, 1)),
        (
            &[d, (Ram::UPPER - 0x1000) | S, DONE],
            (Fault::SourceOutside, 1),
        ),
        (&[d, Ram::END | S, DONE], (Fault::SourceOutside, 1)),
        (
            &[d, (u64::MAX - 0xfff) | S, DONE],
            (Fault::SourceOutside, 1),
        ),
        (&[Ram::MONITOR | D, s, DONE], (Fault::DestinationOutside, 1)),
        (
            &[(Ram::MONITOR - 0x1000) | D, s, s, DONE],
            (Fault::DestinationOutside, 2),
        ),
        (
            &[(u64::MAX - 0xfff) | D, s, DONE],
            (Fault::DestinationOutside, 1),
        ),
        (&[Ram::MONITOR | I], (Fault::ListOutside, 0)),
        (&[0x1000 | I], (Fault::ListOutside, 0)),
        (&[LISTS | I], (Fault::Loop, 0)),
        (&[d, s, LISTS | I], (Fault::Loop, 2)),
        (&[d; 100], (Fault::Idle, 63)),
        (&[d, s, d, s, DONE], (Fault::DestinationTwice, 3)),
        (
            &[0x5000_2000 | D, s, d, s, s, s, DONE],
            (Fault::DestinationTwice, 5),
        ),
        (
            &[d, s, s, 0x5000_1000 | D, s, DONE],
            (Fault::DestinationTwice, 4),
        ),
        (
            &[d, 0x6000_0000 | S, 0x5000_0000 | S, DONE],
            (Fault::SourceOverwritten, 2),
        ),
        (&[LISTS | D, s, DONE], (Fault::ListOverwritten, 0)),
    ] {
        let seen = refused(entries);
        // The fault of the list's first page names the address in the request.
        assert_eq!(seen, expected, "{entries:x?}");
    }
}

#[test]
fn refuses_a_list_page_that_is_no_guest_memory() {
    let ram = Ram::new();
    for (list, fault) in [
        (LISTS + 8, Fault::Unaligned),
        (0, Fault::ListOutside),
        (Ram::MONITOR, Fault::ListOutside),
        (Ram::UPPER - 0x1000, Fault::ListOutside),
    ] {
        let error = check(&ram, PageSize::Size4K, ALL_RAM, call(list)).unwrap_err();
        let PlanError::List(error) = error else {
            panic!("{error}")
        };
        assert_eq!(error.fault, fault, "{list:#x}");
    }
    assert!(Fault::ListOutside.is_address());
    let error = ListError {
        fault: Fault::Loop,
        entry: Entry {
            index: 3,
            at: 0x4000_0018,
            value: 0x4000_0002,
        },
    };
    assert_eq!(
        PlanError::from(error).to_string(),
        "kexec list: list is a loop: entry 3 at 0x40000018 is 0x40000002"
    );
}

#[test]
fn refuses_an_entry_or_a_tree_outside() {
    let ram = Ram::new();
    ram.write(LISTS, DONE);
    let ask = |entry, device_tree| {
        let request = Request::Call {
            list: LISTS,
            entry,
            device_tree,
        };
        check(&ram, PageSize::Size4K, ALL_RAM, request).map(|_| ())
    };
    assert_eq!(ask(ENTRY, TREE), Ok(()));
    for entry in [0, Ram::MONITOR, Ram::END, u64::MAX, ENTRY + 2] {
        assert_eq!(ask(entry, TREE), Err(PlanError::Entry(entry)));
    }
    for tree in [0, Ram::MONITOR - 8, u64::MAX] {
        assert_eq!(ask(ENTRY, tree), Err(PlanError::DeviceTree(tree)));
    }
}

#[test]
fn refuses_a_page_without_link_and_an_end() {
    let ram = Ram::new();
    ram.write(LISTS, 0x5000_0000 | D);
    for slot in 1..512 {
        ram.write(LISTS + 8 * slot, 0x6000_0000 | S);
    }
    let error = check(&ram, PageSize::Size4K, ALL_RAM, call(LISTS)).unwrap_err();
    assert!(
        matches!(
            error,
            PlanError::List(ListError {
                fault: Fault::RunsOff,
                ..
            })
        ),
        "{error}"
    );

    // Loops of sources, of any length, end although each of their entries is right.
    for pages in 1..9 {
        let last = LISTS + (pages - 1) * 0x1000;
        for page in 0..pages {
            let at = LISTS + page * 0x1000;
            (0..511).for_each(|slot| ram.write(at + 8 * slot, 0x6000_0000 | S));
            ram.write(at + 0xff8, if at == last { LISTS } else { at + 0x1000 } | I);
        }
        ram.write(LISTS, 0x5000_0000 | D);
        let error = check(&ram, PageSize::Size4K, ALL_RAM, call(LISTS)).unwrap_err();
        let PlanError::List(ListError {
            fault: Fault::Loop | Fault::DestinationTwice,
            entry,
        }) = error
        else {
            panic!("{pages} pages: {error}")
        };
        assert!(
            entry.index <= 4 * 512 * pages,
            "{pages} pages: noticed as late as at {entry:x?}"
        );
    }
}

#[test]
fn refuses_more_pages_than_there_are() {
    let ram = Ram::new();
    let mut entries = vec![0x5000_0000 | D];
    entries.extend([0x6000_0000 | S; 20]);
    entries.push(DONE);
    write_list(&ram, 0x1000, &entries);
    let plan = check(&ram, PageSize::Size4K, 20, call(LISTS));
    assert_eq!(plan.map(|plan| plan.pages()), Ok(20));
    let error = check(&ram, PageSize::Size4K, 19, call(LISTS)).unwrap_err();
    assert!(
        matches!(
            error,
            PlanError::List(ListError {
                fault: Fault::Endless,
                ..
            })
        ),
        "{error}"
    );
}

#[test]
fn refuses_scattered_destinations() {
    let scattered = |count: u64| {
        let pages =
            (0..count).flat_map(|page| [(0x5000_0000 + 0x2000 * page) | D, 0x6000_0000 | S]);
        pages.chain([DONE]).collect::<Vec<_>>()
    };
    assert_eq!(
        prepare(&Ram::new(), &scattered(128))
            .unwrap()
            .destinations()
            .len(),
        128
    );
    let error = prepare(&Ram::new(), &scattered(129)).unwrap_err();
    assert!(
        matches!(
            error,
            PlanError::List(ListError {
                fault: Fault::TooScattered,
                ..
            })
        ),
        "{error}"
    );
}

#[test]
fn tells_addresses_from_nonsense() {
    let ram = Ram::new();
    let list = write_list(&ram, 0x1000, &[DONE]);
    let ask = |list, entry, device_tree| {
        let request = Request::Call {
            list,
            entry,
            device_tree,
        };
        let asked = check(&ram, PageSize::Size4K, ALL_RAM, request);
        asked.map(|_| ()).map_err(|error| error.is_address())
    };
    assert_eq!(ask(list, ENTRY, TREE), Ok(()));
    assert_eq!(ask(list, Ram::MONITOR, TREE), Err(true), "entry");
    assert_eq!(ask(list, ENTRY, Ram::MONITOR), Err(true), "device tree");
    assert_eq!(ask(Ram::MONITOR, ENTRY, TREE), Err(true), "list");
    assert_eq!(ask(list + 8, ENTRY, TREE), Err(false), "alignment");
    for (entries, expected) in [
        (&[0x5000_0000 | D, Ram::MONITOR | S, DONE][..], true),
        (&[Ram::MONITOR | D, 0x5000_0000 | S, DONE], true),
        (&[0x5000_0000 | S, DONE], false),
        (&[0], false),
    ] {
        let refused = prepare(&ram, entries)
            .map(|_| ())
            .map_err(|e| e.is_address());
        assert_eq!(refused, Err(expected), "{entries:x?}");
    }
    let outside = SegmentError::Outside {
        number: 0,
        start: 0,
        size: 0,
    };
    assert!(PlanError::Segment(outside).is_address());
    let overlap = SegmentError::Overlap {
        number: 1,
        other: 0,
    };
    assert!(!PlanError::Segment(overlap).is_address());
    assert!(!PlanError::NoDeviceTree(ENTRY).is_address());
}
