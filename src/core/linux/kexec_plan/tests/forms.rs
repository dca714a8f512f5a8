// SPDX-License-Identifier: Apache-2.0
//! Lists of Linux's form and of others: any number of CPUs says the same of them.

use super::*;
use std::collections::HashSet;

/// Entries of a list page.
const ENTRIES: u64 = 512;

/// Writes a list as Linux does, but without a link in its last page, and returns how many pages it has.
pub fn write(ram: &Ram, entries: &[u64]) -> u64 {
    write_list(ram, 0x1000, entries);
    let pages = (entries.len() as u64 - 1).div_ceil(ENTRIES - 1).max(1);
    if entries.len() as u64 == pages * (ENTRIES - 1) + 1 {
        // Linux ends a list in the last entry of a page too.
        ram.write(LISTS + pages * 0x1000 - 8, *entries.last().unwrap());
    } else {
        ram.write(LISTS + pages * 0x1000 - 8, 0);
    }
    pages
}

pub fn sources(count: u64) -> Vec<u64> {
    let mut entries = vec![0x5000_0000 | D];
    entries.extend((0..count).map(|number| (0xb000_0000 + 0x1000 * number) | S));
    entries.push(DONE);
    entries
}

fn verdict(ram: &Ram) -> Result<Box<Plan>, PlanError> {
    check(ram, PageSize::Size4K, ALL_RAM, call(LISTS))
}

/// Returns the plan of a list that is said to be of Linux's form.
fn linux(ram: &Ram) -> Box<Plan> {
    let plan = verdict(ram).unwrap_or_else(|error| panic!("{error}"));
    assert!(!plan.is_walked, "the list is of Linux's form");
    plan
}

#[test]
fn takes_the_end_of_a_list_anywhere_in_a_page() {
    for count in [0, 1, 2, 508, 509, 510, 511, 1018, 1019, 1020, 1021, 5000] {
        let ram = Ram::new();
        write(&ram, &sources(count));
        assert_eq!(linux(&ram).pages(), count);
    }
}

#[test]
fn passes_over_what_is_behind_the_end() {
    // Linux clears no page of a list: the last one may have the link of another list that was there before.
    for (at, value) in [
        (ENTRIES - 1, LISTS | I),
        (ENTRIES - 1, (LISTS + 0x1000) | I),
        (ENTRIES - 1, (LISTS + 0x8000) | I),
        (ENTRIES - 1, 0x1000 | I),
        (ENTRIES - 1, u64::MAX),
        (ENTRIES - 1, DONE),
        (ENTRIES - 2, 0xdead_beef),
        (ENTRIES - 2, LISTS | I),
    ] {
        let ram = Ram::new();
        let pages = write(&ram, &sources(700));
        ram.write(LISTS + (pages - 1) * 0x1000 + 8 * at, value);
        assert_eq!(linux(&ram).pages(), 700, "{value:#x}");
    }
}

#[test]
fn takes_a_list_that_leaves_a_page_before_its_last_entry() {
    for early in [0, 1, 200, 509, 510] {
        let ram = Ram::new();
        let entries = sources(1200);
        write(&ram, &entries);
        let (first, rest) = entries.split_at(early);
        let behind = LISTS + 0x10_0000;
        ram.write(LISTS + 8 * early as u64, behind | I);
        assert_eq!(first.len(), early);
        for (number, entry) in (0..).zip(rest) {
            let (page, slot) = (number / (ENTRIES - 1), number % (ENTRIES - 1));
            let at = behind + page * 0x1000;
            ram.write(at + 8 * slot, *entry);
            ram.write(at + 0xff8, (at + 0x1000) | I);
        }
        let plan = verdict(&ram).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(plan.pages(), 1200);
        assert!(plan.is_walked);
        for of in [1, 3, 80] {
            assert_eq!(all_ops(&plan, &ram, of).len(), 1200, "{of} CPUs");
        }
    }
}

#[test]
fn takes_as_many_destinations_as_there_is_room_for() {
    for count in [1, 16, 23, 24, 25, 63, 64, 65, 128] {
        let pages = (0..count).flat_map(|n| {
            let source = 0xb000_0000 + 0x2000 * n;
            [
                (0x5000_0000 + 0x4000 * n) | D,
                source | S,
                (source + 0x1000) | S,
            ]
        });
        let ram = Ram::new();
        write(&ram, &pages.chain([DONE]).collect::<Vec<_>>());
        let plan = verdict(&ram).unwrap_or_else(|error| panic!("{count}: {error}"));
        assert_eq!(
            (plan.pages(), plan.destinations().len()),
            (2 * count, count as usize)
        );
        assert_eq!(plan.is_walked, count > 24, "{count} destinations");
        let plan = by_80(&ram, |_, _| {}).expect("checked by others");
        assert_eq!(plan.is_walked, count > 64, "{count} destinations");
        assert_eq!(all_ops(&plan, &ram, 80).len() as u64, 2 * count);
    }
}

/// Checks a list by 80 CPUs, whose parts `change` changes before the boot CPU sees them; it is told the number
/// of the round.
fn by_80(ram: &Ram, change: impl Fn(u64, &mut Vec<Part>)) -> Result<Box<Plan>, PlanError> {
    let mut plan = new_plan();
    let mut parts = vec![Part::new(); 80];
    plan.begin(ram, PageSize::Size4K, ALL_RAM, call(LISTS), 80)?;
    for round in 0.. {
        for (index, part) in parts.iter_mut().enumerate() {
            plan.work(ram, index, part);
        }
        let mut seen = parts.clone();
        change(round, &mut seen);
        if plan.advance(ram, seen.iter())? == Round::Done {
            break;
        }
        assert!(round < 2, "more than two rounds");
    }
    Ok(plan)
}

/// What a CPU did not look at in this round, the boot CPU does: nothing is taken unseen.
#[test]
fn looks_itself_at_what_a_cpu_did_not() {
    type Change = fn(&mut Vec<Part>);
    let changes: [(&str, Change); 5] = [
        ("one is missing at the end", |parts| parts.truncate(40)),
        ("all are missing", |parts| parts.clear()),
        ("one was never there", |parts| parts[40] = Part::new()),
        ("two in the wrong order", |parts| parts.swap(40, 50)),
        ("one is another's", |parts| parts[40] = parts[41].clone()),
    ];
    let bad = |entry: u64, value: u64| {
        let mut entries = sources(3000);
        entries[entry as usize] = value;
        let ram = Ram::new();
        write(&ram, &entries);
        ram
    };
    // Entries of part 40 and near it.
    for entry in [1, 1490, 1510, 1520, 1560, 2990] {
        for value in [Ram::MONITOR | S, 0x5000_0000 | S, 0, DONE, 0x5200_0000 | D] {
            let ram = bad(entry, value);
            let expected = verdict(&ram).map(|plan| plan.pages());
            for (what, change) in changes {
                for wrong in 0..2 {
                    let seen = by_80(&ram, |round, parts| {
                        if round == wrong {
                            change(parts);
                        }
                    });
                    let seen = seen.map(|plan| plan.pages());
                    assert_eq!(
                        seen, expected,
                        "{what} in round {wrong}, {entry}: {value:#x}"
                    );
                }
            }
        }
    }
}

#[test]
fn takes_no_part_of_an_earlier_check() {
    let ram = Ram::new();
    write(&ram, &sources(3000));
    let mut plan = new_plan();
    let mut parts = vec![Part::new(); 80];
    plan.prepare(&ram, PageSize::Size4K, ALL_RAM, call(LISTS), &mut parts)
        .expect("a sound list");
    ram.write(LISTS + 8 * 100, Ram::MONITOR | S);
    plan.begin(&ram, PageSize::Size4K, ALL_RAM, call(LISTS), 80)
        .expect("a list to look at");
    let old = parts.clone();
    let mut result = plan.advance(&ram, old.iter());
    if result == Ok(Round::More) {
        result = plan.advance(&ram, old.iter());
    }
    match result {
        Err(PlanError::List(ListError { fault, entry })) => {
            assert_eq!((fault, entry.index), (Fault::SourceOutside, 100));
        }
        other => panic!("expected a refusal, saw {other:?}"),
    }
}

/// Memory of which a CPU knows only a part, as where more was plugged in.
struct Smaller<'a>(&'a Ram);

impl GuestMemory for Smaller<'_> {
    fn read_u64(&self, address: u64) -> Option<u64> {
        self.contains(address, 8)
            .then(|| self.0.read_u64(address))?
    }

    fn contains(&self, start: u64, size: u64) -> bool {
        self.0.contains(start, size) && start >= Ram::UPPER
    }
}

#[test]
fn takes_memory_that_the_boot_cpu_alone_knows() {
    let ram = Ram::new();
    let mut entries = sources(3000);
    (1000..2000).for_each(|number| entries[number] = (0x6000_0000 + 0x1000 * number as u64) | S);
    write(&ram, &entries);
    let mut plan = new_plan();
    let mut parts = vec![Part::new(); 80];
    plan.begin(&ram, PageSize::Size4K, ALL_RAM, call(LISTS), 80)
        .expect("a list to look at");
    loop {
        for (index, part) in parts.iter_mut().enumerate() {
            plan.work(&Smaller(&ram), index, part);
        }
        if plan.advance(&ram, parts.iter()).expect("a sound list") == Round::Done {
            break;
        }
    }
    assert!(!plan.is_walked);
    assert_eq!(all_ops(&plan, &ram, 80).len(), 3000);
}

#[test]
fn a_list_that_changes_between_its_rounds_is_never_taken_unchecked() {
    let pages = [0x5000_0000 | D, 0x6000_0000 | S, 0x6000_1000 | S, DONE];
    for (slot, later, expected) in [
        (2, DONE, None),
        (2, Ram::MONITOR | S, Some(Fault::SourceOutside)),
        (2, 0x5000_0000 | S, Some(Fault::SourceOverwritten)),
    ] {
        let ram = Ram::new();
        let list = write_list(&ram, 0x1000, &pages);
        let mut plan = new_plan();
        let mut part = Part::new();
        plan.begin(&ram, PageSize::Size4K, ALL_RAM, call(list), 1)
            .expect("a list to look at");
        plan.work(&ram, 0, &mut part);
        assert_eq!(plan.advance(&ram, [&part].into_iter()), Ok(Round::More));
        ram.write(list + 8 * slot, later);
        plan.work(&ram, 0, &mut part);
        let seen = match plan.advance(&ram, [&part].into_iter()) {
            Ok(Round::Done) => None,
            Err(PlanError::List(error)) => Some(error.fault),
            other => panic!("slot {slot} is {later:#x}: saw {other:?}"),
        };
        assert_eq!(seen, expected, "slot {slot} is {later:#x}");
        // One that ends earlier by now is walked anew, and is as good.
        assert_eq!(plan.pages(), u64::from(expected.is_none()));
    }
}

/// Returns a list that may have faults and be of any form: mostly runs of sources, on pages in any order.
fn write_any(ram: &Ram, random: &mut Random) {
    let mut pages: Vec<u64> = (0..6).map(|page| LISTS + 0x1000 * page).collect();
    random.shuffle(&mut pages[1..]);
    let (mut page, mut slot) = (0, 0);
    let faults = random.below(3);
    let mut free = 0x5000_0000;
    let length = 1 + random.below(2200);
    for number in 0..=length {
        let mut value = (0xb000_0000 + 0x1000 * random.below(4000)) | S;
        if number == 0 || random.below(300) == 0 {
            free += 0x1000 * (number + random.below(3));
            value = free | D;
        }
        if number == length {
            value = DONE;
        }
        if faults > 0 && random.below(1 + length / faults) == 0 {
            let any = 0x5000_0000 + 0x1000 * random.below(0x4000);
            let values = [
                0,
                DONE,
                any | D,
                any | S,
                Ram::MONITOR | S,
                Ram::MONITOR | D,
                LISTS | D,
                LISTS | S,
                (Ram::MONITOR - 0x2000) | D,
                value | 0x800,
                value | 3,
                LISTS | I,
                pages[random.below(6) as usize] | I,
            ];
            value = values[random.below(values.len() as u64) as usize];
        }
        if slot == ENTRIES - 1 || random.below(20_000) == 0 {
            let Some(next) = pages.get(page + 1) else {
                break;
            };
            ram.write(pages[page] + 8 * slot, *next | I);
            (page, slot) = (page + 1, 0);
        }
        ram.write(pages[page] + 8 * slot, value);
        slot += 1;
    }
}

/// Checks the list as that of a kimage with these segments; `None` if they are too many.
fn check_kimage(ram: &Ram, segments: &[Range]) -> Option<Result<Box<Plan>, PlanError>> {
    let head = LISTS - 0x1000;
    ram.write(head, LISTS | I);
    ram.write(head + 0x18, ENTRY);
    ram.write(head + 0x38, segments.len() as u64);
    if !(1..=16).contains(&segments.len()) {
        return None;
    }
    for (number, range) in (0..).zip(segments) {
        ram.write(head + 0x50 + 0x20 * number, range.start);
        ram.write(head + 0x58 + 0x20 * number, range.end - range.start);
    }
    let kimage = Kimage::read(ram, head).expect("a kimage");
    let request = Request::Kimage(&kimage);
    Some(check(ram, PageSize::Size4K, ALL_RAM, request))
}

#[test]
fn any_number_of_cpus_says_the_same() {
    let mut random = Random(0x5eed_0011);
    let mut faults = HashSet::new();
    let (mut linux, mut walked, mut kimages) = (0, 0, 0);
    for _ in 0..1500 {
        let ram = Ram::new();
        write_any(&ram, &mut random);
        let plan = verdict(&ram);
        match &plan {
            Ok(plan) if plan.is_walked => walked += 1,
            Ok(_) => linux += 1,
            Err(PlanError::List(error)) => {
                faults.insert(error.fault.to_string());
            }
            Err(error) => panic!("{error}"),
        }
        // As a kimage: with its destinations as segments, or with two that may not fit.
        let two = [(0x5000_0000, 0x400_0000), (0x5400_0000, 0x4000_0000)];
        let mut segments = two
            .map(|(start, size)| Range {
                start,
                end: start + size,
            })
            .to_vec();
        if let Ok(plan) = plan {
            segments = plan.destinations().to_vec();
        }
        if let Some(whole) = check_kimage(&ram, &segments) {
            kimages += u64::from(whole.is_ok());
        }
    }
    assert!(
        linux > 100 && walked > 20 && kimages > 100 && faults.len() > 7,
        "{linux} of Linux's form, {walked} of others, {kimages} kimages, refused for {faults:?}"
    );
}

/// Without segments, no destination is known before the whole list is: what is outside memory is named first.
#[test]
fn names_a_source_outside_before_one_that_is_overwritten() {
    let ram = Ram::new();
    let mut entries = sources(3000);
    (entries[100], entries[2000]) = (0x5000_1000 | S, Ram::MONITOR | S);
    write(&ram, &entries);
    match verdict(&ram) {
        Err(PlanError::List(error)) => assert_eq!(error.fault, Fault::SourceOutside, "{error}"),
        other => panic!("expected a refusal, saw {other:?}"),
    }
}
