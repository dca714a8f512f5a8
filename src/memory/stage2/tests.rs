// SPDX-License-Identifier: Apache-2.0

use super::*;
use baton_sysreg::fake;

const MONITOR: (u64, u64) = (0x4000_0000, 0x20_0000);
/// A page of registers that a guest may only read.
const GUARDED: u64 = 0x080a_0000;

/// A CPU with `pa_range` as `ID_AA64MMFR0_EL1.PARange`, whose generation 7 has begun.
fn generations(pa_range: u64) -> Generations {
    fake::reset();
    fake::set("ID_AA64MMFR0_EL1", pa_range);
    let mut ram = RegionSet::new();
    ram.insert(Region::new(0x4000_0000, 0x8000_0000).expect("a region"));
    let monitor = Region::new(MONITOR.0, MONITOR.1).expect("a region");
    let guarded = Region::new(GUARDED, 0x1000).expect("a region");
    let generations = Generations::new(monitor, &ram, [guarded].into_iter());
    let generations = generations.expect("within 40 bits");
    generations.begin(7).expect("a root is free");
    generations
}

/// Walks the tables that `VTTBR_EL2` names, of which `VTCR_EL2` has the size and the level; returns
/// the address and S2AP (0b11: read and write).
fn walk(ipa: u64) -> Option<(u64, u64)> {
    let (vttbr, vtcr) = (fake::get("VTTBR_EL2"), fake::get("VTCR_EL2"));
    // SL0 (Arm ARM, VTCR_EL2): 2 is level 0, 1 is level 1 with granules of 4 KiB.
    let first = 2 - (vtcr >> 6 & 3);
    let mut table = vttbr & 0xffff_ffff_f000;
    for level in first..=3 {
        let shift = 39 - 9 * level;
        let index = ipa >> shift & 0x1ff;
        let entry = core::ptr::with_exposed_provenance::<u64>((table + 8 * index) as usize);
        // SAFETY: The tables are memory of this test.
        let entry = unsafe { entry.read_volatile() };
        let address = entry & 0xffff_ffff_f000;
        match entry & 3 {
            // A block, or a page at the last level.
            1 if level < 3 => return Some((address | ipa & ((1 << shift) - 1), entry >> 6 & 3)),
            3 if level == 3 => return Some((address | ipa & 0xfff, entry >> 6 & 3)),
            3 => table = address,
            _ => return None,
        }
    }
    None
}

#[test]
fn everything_is_mapped_at_its_own_address_but_the_monitor() {
    for pa_range in [2, 5] {
        let generations = generations(pa_range);
        assert!(generations.enter(7));
        let (start, end) = (MONITOR.0, MONITOR.0 + MONITOR.1);
        for ipa in [0, 0x900_0000, start - 1, end, 0x7fff_ffff, (1 << 39) - 1] {
            assert_eq!(walk(ipa), Some((ipa, 3)), "{ipa:#x}");
        }
        for ipa in [start, start + 0x1_2345, end - 1] {
            assert_eq!(walk(ipa), None, "{ipa:#x}");
        }
    }
}

#[test]
fn guarded_registers_can_only_be_read() {
    let generations = generations(5);
    assert!(generations.enter(7));
    assert_eq!(walk(GUARDED + 8), Some((GUARDED + 8, 1)));
    assert_eq!(walk(GUARDED + 0x1000), Some((GUARDED + 0x1000, 3)));
}

#[test]
fn the_walk_fits_the_cpu() {
    // PARange of 40 bits: 39 bits from level 1; of 48 bits: all of them from level 0.
    for (pa_range, expected) in [(2, 2 << 16 | 1 << 6 | 25), (5, 5 << 16 | 2 << 6 | 16)] {
        let generations = generations(pa_range);
        assert!(generations.enter(7));
        // RES1; SH0 inner shareable; ORGN0 and IRGN0 write-back.
        let vtcr = 1 << 31 | 3 << 12 | 1 << 10 | 1 << 8 | expected;
        assert_eq!(fake::get("VTCR_EL2"), vtcr, "PARange {pa_range}");
    }
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
    assert_eq!(walk(0x8000_0000), Some((0x8000_0000, 3)));
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
    assert_eq!(walk(ipa), Some((ipa, 3)));
    assert!(
        !generations.map_on_demand(1 << 48),
        "beyond what there can be"
    );
    assert!(!generations.map_on_demand(MONITOR.0), "the monitor");
}

#[test]
fn accesses_cannot_use_up_the_heap() {
    let generations = generations(5);
    let mut mapped = 0;
    while generations.map_on_demand(MAPPED_AT_BOOT + (mapped << ROOT_SHIFT)) {
        mapped += 1;
    }
    assert_eq!(mapped, TABLES_ON_DEMAND as u64);
}
