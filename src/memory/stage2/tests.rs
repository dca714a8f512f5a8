// SPDX-License-Identifier: Apache-2.0

mod devices;

use super::shared::TABLES_ON_DEMAND;
use super::*;
use baton_core::memory::addresses::Addresses;
use baton_sysreg::fake;

const MONITOR: (u64, u64) = (0x4000_0000, 0x20_0000);
/// A page of registers that a guest may only read.
const GUARDED: u64 = 0x080a_0000;
/// A block with devices, and a window with some.
const DEVICES: [(u64, u64); 2] = [(0x900_0000, 0x920_0000), (0x80_0000_0000, 0xc0_0000_0000)];
/// Registers that a guest does not get: in the block of [`DEVICES`], in one of their own, and beyond what is
/// mapped at boot.
const WITHHELD: [(u64, u64); 3] = [
    (0x901_0000, 0x901_1000),
    (0x2201_0000, 0x2201_2000),
    ((1 << 47) + 0x40_0000, (1 << 47) + 0x40_1000),
];
/// `PARange` and the end of all that is known, of machines with 32 to 48 bits of address, with roots of
/// one, two and eight tables at level 1, and of one at level 0.
const MACHINES: [(u64, u64); 7] = [
    (0, u64::MAX),
    (1, u64::MAX),
    (2, u64::MAX),
    (3, u64::MAX),
    (4, 1 << 40),
    (4, u64::MAX),
    (5, u64::MAX),
];

fn region((start, end): (u64, u64)) -> Region {
    Region::from_bounds(start, end).expect("a region")
}

fn set(regions: &[(u64, u64)]) -> RegionSet {
    regions.iter().copied().map(region).collect()
}

/// A machine of [`MACHINES`], whose generation 7 has begun.
fn machine((pa_range, end): (u64, u64)) -> Generations {
    fake::reset();
    fake::set("ID_AA64MMFR0_EL1", pa_range);
    let geometry = Geometry::new(pa_range, end);
    let ram = set(&[(0x4000_0000, 0xc000_0000)]);
    let monitor = Region::new(MONITOR.0, MONITOR.1).expect("a region");
    let guarded = Region::new(GUARDED, 0x1000).expect("a region");
    let below = region((0, geometry.end()));
    let devices: RegionSet = DEVICES
        .iter()
        .filter_map(|devices| region(*devices).intersection(&below))
        .collect();
    let withheld = WITHHELD
        .iter()
        .filter_map(|withheld| region(*withheld).intersection(&below))
        .collect();
    let generations = Generations::new(
        geometry,
        monitor,
        &ram,
        &devices,
        [guarded].into_iter(),
        withheld,
    );
    let generations = generations.expect("within 48 bits");
    generations.begin(7).expect("a root is free");
    generations
}

/// A CPU with `pa_range` as `ID_AA64MMFR0_EL1.PARange`, on a machine of as many bits.
fn generations(pa_range: u64) -> Generations {
    machine((pa_range, u64::MAX))
}

/// What a walk ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leaf {
    address: u64,
    writable: bool,
    executable: bool,
    /// The bytes that its entry maps.
    size: u64,
    /// How many entries were read.
    reads: u64,
}

/// Walks the tables that `VTTBR_EL2` names, of which `VTCR_EL2` has the size and the level.
fn walk(ipa: u64) -> Option<Leaf> {
    let (vttbr, vtcr) = (fake::get("VTTBR_EL2"), fake::get("VTCR_EL2"));
    // SL0 (Arm ARM, VTCR_EL2): 2 is level 0, 1 is level 1 with granules of 4 KiB.
    let first = 2 - (vtcr >> 6 & 3);
    let bits = 64 - (vtcr & 0x3f);
    if ipa >> bits != 0 {
        return None;
    }
    let mut table = vttbr & 0xffff_ffff_f000;
    let root_bytes = 8 << (bits - (39 - 9 * first));
    assert_eq!(
        table % root_bytes.max(64),
        0,
        "BADDR {table:#x} for {root_bytes} bytes"
    );
    for level in first..=3 {
        let shift = 39 - 9 * level;
        // The first of a walk has all bits above: tables of a root lie one behind the other.
        let mask = if level == first { u64::MAX } else { 0x1ff };
        let index = ipa >> shift & mask;
        let entry = core::ptr::with_exposed_provenance::<u64>((table + 8 * index) as usize);
        // SAFETY: The tables are memory of this test.
        let entry = unsafe { entry.read_volatile() };
        let address = entry & 0xffff_ffff_f000;
        match entry & 3 {
            3 if level < 3 => table = address,
            // A block, or a page at the last level.
            1 | 3 if (entry & 3 == 3) == (level == 3) => {
                assert_ne!(level, 0, "there are no blocks at level 0");
                assert_eq!(entry >> 6 & 1, 1, "S2AP: everything can be read");
                return Some(Leaf {
                    address: address | ipa & ((1 << shift) - 1),
                    writable: entry >> 7 & 1 == 1,
                    executable: entry >> 53 & 3 == 0,
                    size: 1 << shift,
                    reads: level - first + 1,
                });
            }
            _ => return None,
        }
    }
    None
}

/// Expects `ipa` to be mapped at its own address.
#[track_caller]
fn expect(ipa: u64, writable: bool, executable: bool) {
    let seen = walk(ipa).map(|leaf| (leaf.address, leaf.writable, leaf.executable));
    assert_eq!(seen, Some((ipa, writable, executable)), "{ipa:#x}");
}

#[test]
fn everything_is_mapped_at_its_own_address_but_the_monitor() {
    for machine_ in MACHINES {
        let generations = machine(machine_);
        assert!(generations.enter(7));
        let (start, end) = (MONITOR.0, MONITOR.0 + MONITOR.1);
        let end_of_map = match generations.geometry().root_level() {
            0 => MAPPED_AT_BOOT,
            _ => generations.geometry().end(),
        };
        let last = end_of_map - 1;
        for ipa in [0, start - 1, end, 0x7fff_ffff, last] {
            expect(ipa, true, true);
        }
        for ipa in [start, start + 0x1_2345, end - 1, last + 1] {
            assert_eq!(walk(ipa), None, "{ipa:#x} on {machine_:?}");
        }
    }
}

#[test]
fn what_is_no_memory_is_never_executed() {
    for machine_ in MACHINES {
        let generations = machine(machine_);
        assert!(generations.enter(7));
        for (start, end) in DEVICES {
            for ipa in [start, end - 1] {
                if ipa < generations.geometry().end() {
                    expect(ipa, true, false);
                    assert!(!generations.may_execute(ipa));
                }
            }
            if end < generations.geometry().end() {
                expect(start - 1, true, true);
                expect(end, true, true);
                assert!(generations.may_execute(end));
            }
        }
    }
}

#[test]
fn guarded_registers_can_only_be_read() {
    let generations = generations(5);
    assert!(generations.enter(7));
    expect(GUARDED + 8, false, false);
    expect(GUARDED + 0x1000, true, true);
}

#[test]
fn what_is_withheld_is_not_there() {
    for machine_ in MACHINES {
        let generations = machine(machine_);
        assert!(generations.enter(7));
        for (start, end) in WITHHELD {
            if end > generations.geometry().end() {
                continue;
            }
            for ipa in [start, end - 1] {
                assert_eq!(walk(ipa), None, "{ipa:#x} on {machine_:?}");
                assert!(generations.withholds(ipa));
                assert!(!generations.map_on_demand(ipa), "{ipa:#x} is tried again");
            }
            let beside = walk(start - 1).map(|leaf| leaf.address);
            assert_eq!(beside, Some(start - 1), "on {machine_:?}");
            assert_eq!(
                walk(end).map(|leaf| leaf.address),
                Some(end),
                "on {machine_:?}"
            );
            assert!(!generations.withholds(start - 1) && !generations.withholds(end));
        }
    }
}

#[test]
fn what_is_withheld_stays_so_when_its_gib_is_accessed() {
    let generations = generations(5);
    assert!(generations.enter(7));
    let (start, end) = WITHHELD[2];
    // As one that faulted as the last generation ended.
    assert!(generations.map_on_demand(end));
    assert_eq!(walk(start), None);
    generations.end();
    generations.begin(8).expect("a root is free");
    assert!(generations.enter(8));
    assert_eq!(walk(start), None, "in the next generation");
    expect(end, true, true);
}

/// The second bank of an LS1088A, whose Cortex-A53 have 40 bits, and the last of 42 bits.
#[test]
fn memory_beyond_one_table_of_level_1_is_mapped() {
    for (pa_range, bank) in [
        (2, (0x80_8000_0000, 0x84_0000_0000)),
        (3, ((1 << 42) - GIB, 1 << 42)),
    ] {
        fake::reset();
        let geometry = Geometry::new(pa_range, u64::MAX);
        let monitor = region((bank.1 - 0x20_0000, bank.1));
        let ram = set(&[bank]);
        let generations = Generations::new(
            geometry,
            monitor,
            &ram,
            &RegionSet::new(),
            core::iter::empty(),
            RegionSet::new(),
        );
        let generations = generations.expect("within 48 bits");
        generations.begin(0).expect("a root is free");
        assert!(generations.enter(0));
        expect(bank.0, true, true);
        expect(monitor.start() - 1, true, true);
        assert_eq!(walk(monitor.start()), None);
        assert_eq!(
            walk(bank.0).map(|leaf| leaf.reads),
            Some(if pa_range == 2 { 1 } else { 2 })
        );
        generations.end();
        for ipa in [0, bank.0, monitor.start() - 1] {
            assert_eq!(walk(ipa), None, "{ipa:#x}");
        }
    }
}

/// How often a nested walk reads memory: each table of the guest's stage 1, of which there are four for a
/// page and three for a block of 2 MiB, and what it comes to, is at an address that stage 2 is walked for
/// (`docs/benchmarks.md`).
#[test]
fn a_walk_is_as_short_as_its_blocks_are_large() {
    for (machine_, page, block) in [
        ((4, 1 << 40), [9, 14, 19], [7, 11, 15]),
        ((5, u64::MAX), [14, 19, 24], [11, 15, 19]),
    ] {
        let generations = machine(machine_);
        assert!(generations.enter(7));
        // A block of 1 GiB, one of 2 MiB in the GiB of the monitor, a page beside a guarded one.
        let leaves = [0x8000_0000, 0x4020_0000, GUARDED + 0x1000];
        let leaves = leaves.map(|ipa| walk(ipa).expect("a leaf"));
        assert_eq!(leaves.map(|leaf| leaf.size), [GIB, 2 << 20, 0x1000]);
        let nested = |stage1: u64| leaves.map(|leaf| stage1 + (stage1 + 1) * leaf.reads);
        assert_eq!((nested(4), nested(3)), (page, block), "{machine_:?}");
    }
}

#[test]
fn nobody_has_memory_before_the_first_generation() {
    for machine_ in MACHINES {
        let generations = machine(machine_);
        generations.enter_none();
        assert_eq!(fake::get("VTTBR_EL2") >> 48, 0, "VMID");
        for ipa in [0, 0x900_0000, 0x8000_0000] {
            assert_eq!(walk(ipa), None, "{ipa:#x} on {machine_:?}");
        }
    }
}

#[test]
fn a_cpu_with_fewer_bits_than_the_guest_is_refused() {
    let generations = machine((4, 1 << 44));
    assert_eq!(generations.fit_this_cpu(), Ok(()));
    fake::set("ID_AA64MMFR0_EL1", 2);
    let error = TooFewBits {
        has: 40,
        needed: 44,
    };
    assert_eq!(generations.fit_this_cpu(), Err(error));
}

#[test]
fn a_generation_that_has_ended_has_no_memory() {
    let generations = generations(5);
    assert!(generations.enter(7));
    let before = fake::instructions().len();
    generations.end();
    for ipa in [0, 0x900_0000, 0x8000_0000] {
        assert_eq!(walk(ipa), None, "{ipa:#x}");
    }
    assert_eq!(
        fake::instructions()[before..],
        [
            "dsb ishst",
            "dsb ishst",
            "tlbi vmalls12e1is",
            "dsb ish",
            "tlbi vmalls12e1is",
            "dsb ish",
            "isb"
        ]
    );
}

#[test]
fn a_cpu_of_no_generation_has_no_memory() {
    for pa_range in [2, 5] {
        let generations = generations(pa_range);
        fake::set("VTTBR_EL2", 0x6666_0000_1234_5000);
        generations.enter_none();
        for ipa in [0, 0x900_0000, MONITOR.0, 0x8000_0000] {
            assert_eq!(walk(ipa), None, "{ipa:#x}");
        }
        let (none, vtcr) = (fake::get("VTTBR_EL2"), fake::get("VTCR_EL2"));
        assert!(generations.enter(7));
        assert_eq!(fake::get("VTCR_EL2"), vtcr, "the walk is the same");
        assert_ne!(fake::get("VTTBR_EL2") >> 48, none >> 48, "VMID");
    }
}

#[test]
fn the_next_generation_has_another_root_and_vmid() {
    let generations = generations(5);
    assert!(generations.enter(7));
    let old = fake::get("VTTBR_EL2");
    generations.end();
    generations.begin(8).expect("a root is free");
    assert!(!generations.enter(7), "it has ended");
    assert!(generations.enter(8));
    let new = fake::get("VTTBR_EL2");
    assert_ne!(old >> 48, new >> 48, "VMID");
    assert_ne!(old << 16, new << 16, "BADDR");
    expect(0x8000_0000, true, true);
}

#[test]
fn a_root_is_filled_again_when_all_have_come_that_were_left_in_it() {
    let generations = generations(5);
    for number in 8..8 + ROOTS as u64 - 1 {
        generations.leave_behind(1);
        generations.end();
        generations.begin(number).expect("a root is free");
    }
    generations.leave_behind(1);
    assert_eq!(generations.begin(100), Err(NoRoot(ROOTS)));
    generations.came_from(9);
    assert_eq!(generations.begin(100), Ok(()));
}

#[test]
fn what_lies_high_is_mapped_when_it_is_accessed() {
    let generations = generations(5);
    assert!(generations.enter(7));
    let ipa = 1 << 45;
    assert_eq!(walk(ipa), None);
    assert!(generations.map_on_demand(ipa));
    expect(ipa, true, true);
    assert!(
        !generations.map_on_demand(1 << 48),
        "beyond what there can be"
    );
    assert!(!generations.map_on_demand(MONITOR.0), "the monitor");
}

#[test]
fn what_lies_high_and_is_no_memory_is_never_executed() {
    let geometry = Geometry::new(5, u64::MAX);
    let device = region((MAPPED_AT_BOOT + GIB + 0x20_0000, MAPPED_AT_BOOT + 3 * GIB));
    let devices = set(&[(device.start(), device.end())]);
    let monitor = Region::new(MONITOR.0, MONITOR.1).expect("a region");
    let ram = set(&[(0x4000_0000, 0x8000_0000)]);
    let generations = Generations::new(
        geometry,
        monitor,
        &ram,
        &devices,
        core::iter::empty(),
        RegionSet::new(),
    );
    let generations = generations.expect("within 48 bits");
    generations.begin(0).expect("a root is free");
    assert!(generations.enter(0));
    for (ipa, executable, size) in [
        (device.start() - 1, true, 2 << 20),
        (device.start(), false, 2 << 20),
        (device.end() - 1, false, GIB),
        (device.end(), true, GIB),
    ] {
        assert!(generations.map_on_demand(ipa));
        expect(ipa, true, executable);
        assert_eq!(walk(ipa).map(|leaf| leaf.size), Some(size), "{ipa:#x}");
    }
}

/// All of the memory of a server, and how many GiB of it are in blocks smaller than that.
#[track_caller]
fn expect_split(
    what: &str,
    banks: &[(u64, u64)],
    claimed: &[(u64, u64)],
    expected: (usize, usize),
) {
    fake::reset();
    // As much as 192 CPUs need.
    let size = 8 << 20;
    let mut banks = set(banks);
    let monitor = banks.highest_fit_within(size, 2 << 20, GIB).expect("room");
    banks.remove(&monitor);
    let none = RegionSet::new();
    let addresses = Addresses::new(5, banks, &monitor, &none, &set(claimed));
    let addresses = addresses.expect("within 48 bits");
    let guarded = Region::new(GUARDED, 0x1000).expect("a region");
    let generations = Generations::new(
        addresses.geometry,
        monitor,
        &addresses.banks,
        &addresses.devices,
        [guarded].into_iter(),
        RegionSet::new(),
    );
    let seen = generations.expect("within 48 bits").gibs(&addresses.banks);
    assert_eq!(
        seen, expected,
        "{what}: GiB of memory, and of them in smaller blocks"
    );
}

#[test]
fn one_gib_of_a_server_is_in_smaller_blocks() {
    const ALL: (u64, u64) = (0, u64::MAX);
    let virt = (GIB, 129 * GIB);
    expect_split(
        "QEMU's virt, by a tree",
        &[virt],
        &[(0x800_0000, 0x3f00_0000)],
        (128, 1),
    );
    expect_split("QEMU's virt, by ACPI", &[virt], &[ALL], (128, 1));
    // Firmware has the last 3 MiB: the monitor would lie across the end of a GiB.
    let end = 128 * GIB + (3 << 20);
    expect_split(
        "an end just above a GiB",
        &[(GIB, end)],
        &[(0, GIB)],
        (128, 1),
    );
    // Ampere Altra: 2 GiB of DRAM below 4 GiB, the rest of 128 GiB from 512 GiB on.
    let altra = [
        (0x8000_0000, 0x1_0000_0000),
        (0x80_0000_0000, 0x9f_8000_0000),
    ];
    expect_split("two banks of whole GiBs", &altra, &[ALL], (128, 1));
    // What is not whole is split where there may be a device beside it.
    let holes = [(0x8830_0000, 0xffd0_0000), altra[1]];
    expect_split("a hole at both ends of the first", &holes, &[ALL], (128, 3));
}

#[test]
fn accesses_cannot_use_up_the_heap() {
    let generations = generations(5);
    let mut mapped = 0;
    while generations.map_on_demand(MAPPED_AT_BOOT + (mapped << 39)) {
        mapped += 1;
    }
    assert_eq!(mapped, TABLES_ON_DEMAND as u64);
}
