use super::*;
use crate::abi::{IND_DESTINATION, IND_DONE, IND_INDIRECTION, IND_SOURCE};
use crate::linux::fake::Ram;
use crate::linux::kexec_list::Entry;
use crate::linux::kimage::Segment;
use std::collections::{HashMap, HashSet};

const D: u64 = IND_DESTINATION;
const I: u64 = IND_INDIRECTION;
const S: u64 = IND_SOURCE;
const DONE: u64 = IND_DONE;

/// Where tests put the pages of a list.
const LISTS: u64 = Ram::END - 0x1000_0000;
const ENTRY: u64 = 0x4000_0000;
const TREE: u64 = 0x4100_0000;
const ALL_RAM: u64 = (Ram::END - Ram::START) / 0x1000;

/// A generator of numbers that are the same in each run (xorshift64).
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

fn prepare(ram: &Ram, entries: &[u64]) -> Result<Box<Plan>, PlanError> {
    let list = write_list(ram, 0x1000, entries);
    let mut plan = new_plan();
    plan.prepare(ram, PageSize::Size4K, ALL_RAM, call(list))
        .map(|()| plan)
}

/// The fault for which a list is refused, and the number of the entry.
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

/// What all shares of a plan hand out.
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
        // The list's own page is named by the address that was asked for.
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
        let error = new_plan()
            .prepare(&ram, PageSize::Size4K, ALL_RAM, call(list))
            .unwrap_err();
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
        new_plan().prepare(
            &ram,
            PageSize::Size4K,
            ALL_RAM,
            Request::Call {
                list: LISTS,
                entry,
                device_tree,
            },
        )
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
    let mut plan = new_plan();
    let error = plan
        .prepare(&ram, PageSize::Size4K, ALL_RAM, call(LISTS))
        .unwrap_err();
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
    assert_eq!(plan.pages(), 0);

    // Loops of sources, of any length, end though they never come to a wrong entry.
    for pages in 1..9 {
        let last = LISTS + (pages - 1) * 0x1000;
        for page in 0..pages {
            let at = LISTS + page * 0x1000;
            (0..511).for_each(|slot| ram.write(at + 8 * slot, 0x6000_0000 | S));
            ram.write(at + 0xff8, if at == last { LISTS } else { at + 0x1000 } | I);
        }
        ram.write(LISTS, 0x5000_0000 | D);
        let error = plan
            .prepare(&ram, PageSize::Size4K, ALL_RAM, call(LISTS))
            .unwrap_err();
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
    assert_eq!(
        new_plan().prepare(&ram, PageSize::Size4K, 20, call(LISTS)),
        Ok(())
    );
    let error = new_plan()
        .prepare(&ram, PageSize::Size4K, 19, call(LISTS))
        .unwrap_err();
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
            let mut plan = new_plan();
            let list = write_list(&ram, page, &entries);
            plan.prepare(&ram, page_size, ALL_RAM, call(list))
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
        assert!(
            share.skipped < plan.stride,
            "CPU {index} skips {}",
            share.skipped
        );
    }
    assert!(plan.stride <= 512, "a place every {} pages", plan.stride);
}

/// What a guest may do to its list between the dry run and the copy.
#[test]
fn shares_hand_out_nothing_unchecked() {
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
        Ram::START | S,
        Ram::START | D,
        0x6000_0000 | D,
        (Ram::END - 0x1000) | I,
        (Ram::END - 0x1000) | S,
    ];
    let (mut refused, mut survived) = (0, 0);
    for _ in 0..400 {
        let at = LISTS + 8 * random.below(slots);
        let before = ram.read_u64(at).unwrap();
        ram.write(at, values[random.below(values.len() as u64) as usize]);
        for index in 0..7 {
            let mut share = plan.share(&ram, index, 7);
            let promised = share.pages();
            let mut handed = 0;
            for op in share.by_ref() {
                match op {
                    Ok(Op {
                        source,
                        destination,
                        copied,
                        zeroed,
                    }) => {
                        handed += 1;
                        assert!(ram.contains(source, 0x1000), "source {source:#x}");
                        assert!(
                            plan.destinations.hold(destination),
                            "destination {destination:#x}"
                        );
                        assert!(
                            source == destination || !plan.destinations.hold(source),
                            "source {source:#x}"
                        );
                        assert_eq!(copied + zeroed, 0x1000);
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

/// Writes a `kimage` whose list puts `file` pages into each segment; the first words of each source
/// come from the segment.
struct Loaded {
    segments: Vec<(Segment, [(u64, u64); 2])>,
    in_place: Vec<usize>,
    start: u64,
}

const IMAGE: [(u64, u64); 2] = [(56, 0x644d_5241), (0, 0xfa40_5a4d)];
const FDT: [(u64, u64); 2] = [(0, 0xedfe_0dd0), (8, 0)];
const DATA: [(u64, u64); 2] = [(0, 1), (8, 2)];

impl Loaded {
    const KIMAGE: u64 = 0xef00_0500;

    fn write(&self, ram: &Ram) -> Kimage {
        let mut entries = Vec::new();
        let mut source = 0xb000_0000;
        ram.write(Self::KIMAGE, LISTS | I);
        ram.write(Self::KIMAGE + 0x18, self.start);
        ram.write(Self::KIMAGE + 0x38, self.segments.len() as u64);
        for (number, (segment, words)) in self.segments.iter().enumerate() {
            let field = Self::KIMAGE + 0x40 + 0x20 * number as u64;
            ram.write(field + 8, segment.file_size);
            ram.write(field + 16, segment.start);
            ram.write(field + 24, segment.size);
            let in_place = self.in_place.contains(&number);
            let first = if in_place { segment.start } else { source };
            words
                .iter()
                .for_each(|(offset, value)| ram.write(first + offset, *value));
            if !in_place {
                entries.push(segment.start | D);
                for _ in 0..segment.size / 0x1000 {
                    entries.push(source | S);
                    source += 0x1000;
                }
            }
        }
        entries.push(DONE);
        write_list(ram, 0x1000, &entries);
        Kimage::read(ram, Self::KIMAGE).unwrap()
    }

    fn plan(&self, ram: &Ram) -> Result<Box<Plan>, PlanError> {
        let mut plan = new_plan();
        plan.prepare(
            ram,
            PageSize::Size4K,
            ALL_RAM,
            Request::Kimage(&self.write(ram)),
        )
        .map(|()| plan)
    }
}

fn segment(start: u64, file_size: u64, size: u64) -> Segment {
    Segment {
        file_size,
        start,
        size,
    }
}

const KERNEL: u64 = 0x4020_0000;
const INITRD: u64 = 0x4800_0000;
const DTB: u64 = 0x4900_0000;
const PURGATORY: u64 = 0x4901_0000;

/// What kexec-tools loads.
fn loaded() -> Loaded {
    Loaded {
        segments: vec![
            (segment(KERNEL, 0x3800, 0x6000), IMAGE),
            (segment(INITRD, 0x1234, 0x2000), DATA),
            (segment(DTB, 0x800, 0x1000), FDT),
            (segment(PURGATORY, 0x3000, 0x4000), DATA),
        ],
        in_place: vec![],
        start: PURGATORY,
    }
}

#[test]
fn skips_the_purgatory_and_zeroes_behind_the_kernel() {
    let ram = Ram::new();
    let plan = loaded().plan(&ram).unwrap();
    assert_eq!(
        plan.next_kernel(),
        NextKernel {
            entry: KERNEL,
            x0: DTB
        }
    );
    assert_eq!(plan.pages(), 6 + 2 + 1 + 4);
    let ops = all_ops(&plan, &ram, 3);
    let sizes: Vec<_> = ops
        .iter()
        .map(|op| (op.destination, op.copied, op.zeroed))
        .collect();
    assert_eq!(
        sizes[2..6],
        [
            (KERNEL + 0x2000, 0x1000, 0),
            (KERNEL + 0x3000, 0x800, 0x800),
            (KERNEL + 0x4000, 0, 0x1000),
            (KERNEL + 0x5000, 0, 0x1000)
        ]
    );
    assert!(
        sizes[6..].iter().all(|size| size.1 == 0x1000),
        "only the kernel has zeroes behind it: {sizes:x?}"
    );
}

#[test]
fn leaves_the_choice_to_a_purgatory_when_in_doubt() {
    for (change, what) in [
        ((1, IMAGE), "two kernels"),
        ((1, FDT), "two trees"),
        ((0, DATA), "no kernel"),
        ((2, DATA), "no tree"),
    ] {
        let ram = Ram::new();
        let mut loaded = loaded();
        loaded.segments[change.0].1 = change.1;
        let plan = loaded.plan(&ram).unwrap();
        assert_eq!(
            plan.next_kernel(),
            NextKernel {
                entry: PURGATORY,
                x0: 0
            },
            "{what}"
        );
    }
}

#[test]
fn refuses_a_kernel_that_would_have_no_tree() {
    for other in [DATA, FDT] {
        let mut loaded = loaded();
        loaded.start = KERNEL;
        loaded.segments[2].1 = other;
        loaded.segments[1].1 = other;
        assert_eq!(
            loaded.plan(&Ram::new()).unwrap_err(),
            PlanError::NoDeviceTree(KERNEL)
        );
    }
    let mut loaded = loaded();
    loaded.start = KERNEL;
    assert_eq!(
        loaded.plan(&Ram::new()).unwrap().next_kernel(),
        NextKernel {
            entry: KERNEL,
            x0: DTB
        }
    );
}

#[test]
fn cleans_segments_that_are_in_place() {
    for in_place in [vec![0], vec![1, 2], vec![0, 1, 2, 3]] {
        let ram = Ram::new();
        let loaded = Loaded {
            in_place,
            ..loaded()
        };
        let plan = loaded.plan(&ram).unwrap();
        assert_eq!(plan.pages(), 13);
        assert_eq!(
            plan.next_kernel(),
            NextKernel {
                entry: KERNEL,
                x0: DTB
            },
            "{:?} in place",
            loaded.in_place
        );
        for of in [1, 2, 5, 13, 20] {
            let ops = all_ops(&plan, &ram, of);
            let seen: HashSet<u64> = ops.iter().map(|op| op.destination).collect();
            assert_eq!(seen.len(), 13);
            for op in ops {
                let number = loaded.segments.iter().position(|(segment, _)| {
                    (segment.start..segment.start + segment.size).contains(&op.destination)
                });
                assert_eq!(
                    op.is_in_place(),
                    loaded.in_place.contains(&number.unwrap()),
                    "{op:x?}"
                );
                assert!(!op.is_in_place() || op.copied == 0x1000, "{op:x?}");
            }
        }
    }
}

#[test]
fn takes_a_kimage_without_a_list() {
    let ram = Ram::new();
    let loaded = Loaded {
        in_place: vec![0, 1, 2, 3],
        ..loaded()
    };
    loaded.write(&ram);
    ram.write(Loaded::KIMAGE, DONE);
    let kimage = Kimage::read(&ram, Loaded::KIMAGE).unwrap();
    let mut plan = new_plan();
    plan.prepare(&ram, PageSize::Size4K, ALL_RAM, Request::Kimage(&kimage))
        .unwrap();
    assert_eq!(plan.pages(), 13);
    assert_eq!(all_ops(&plan, &ram, 4).len(), 13);
    for head in [0x5000_0000 | D, 0x5000_0000 | S] {
        ram.write(Loaded::KIMAGE, head);
        let kimage = Kimage::read(&ram, Loaded::KIMAGE).unwrap();
        let error = plan
            .prepare(&ram, PageSize::Size4K, ALL_RAM, Request::Kimage(&kimage))
            .unwrap_err();
        assert!(
            matches!(
                error,
                PlanError::List(ListError {
                    fault: Fault::Head,
                    ..
                })
            ),
            "{error}"
        );
        assert_eq!(plan.pages(), 0, "after an error nothing moves");
    }
}

#[test]
fn refuses_wrong_segments() {
    let with = |number: usize, wrong: Segment| {
        let ram = Ram::new();
        let loaded = loaded();
        loaded.write(&ram);
        let field = Loaded::KIMAGE + 0x40 + 0x20 * number as u64;
        ram.write(field + 16, wrong.start);
        ram.write(field + 24, wrong.size);
        let kimage = Kimage::read(&ram, Loaded::KIMAGE).unwrap();
        new_plan()
            .prepare(&ram, PageSize::Size4K, ALL_RAM, Request::Kimage(&kimage))
            .unwrap_err()
    };
    let (start, size) = (KERNEL + 8, 0x6000);
    assert_eq!(
        with(0, segment(start, 0, size)),
        PlanError::Segment(SegmentError::Unaligned {
            number: 0,
            start,
            size
        })
    );
    for (start, size) in [
        (Ram::MONITOR, 0x1000),
        (0, 0x1000),
        (Ram::MONITOR - 0x1000, 0x2000),
        (INITRD, !0xfff),
    ] {
        assert_eq!(
            with(1, segment(start, 0, size)),
            PlanError::Segment(SegmentError::Outside {
                number: 1,
                start,
                size
            })
        );
    }
    assert_eq!(
        with(2, segment(INITRD + 0x1000, 0, 0x1000)),
        PlanError::Segment(SegmentError::Overlap {
            number: 2,
            other: 1
        })
    );
    assert_eq!(
        with(1, segment(INITRD, 0, 0x3000)),
        PlanError::Segment(SegmentError::Partial {
            number: 1,
            expected: 3,
            listed: 2
        })
    );
    let error = with(1, segment(INITRD, 0, 0x1000));
    assert!(
        matches!(
            error,
            PlanError::List(ListError {
                fault: Fault::OutsideSegments,
                ..
            })
        ),
        "{error}"
    );
}

#[test]
fn fits_in_the_monitor() {
    let size = size_of::<Plan>();
    assert!(size <= 48 << 10, "a plan has {size} bytes");
}
