// SPDX-License-Identifier: Apache-2.0
//! Stage 2 as devices have it, and registers of SMMUs.

use super::*;

/// Walks as an SMMU does by what its stream table entries have.
fn walk_of_device(generations: &Generations, ipa: u64) -> Option<Leaf> {
    let stage2 = generations.open_to_devices();
    fake::set("VTTBR_EL2", u64::from(stage2.vmid) << 48 | stage2.root);
    fake::set("VTCR_EL2", stage2.vtcr);
    walk(ipa)
}

fn reached(generations: &Generations, ipa: u64) -> Option<(u64, bool)> {
    walk_of_device(generations, ipa).map(|leaf| (leaf.address, leaf.writable))
}

#[test]
fn a_device_reaches_what_a_cpu_reaches() {
    for machine_ in MACHINES {
        let generations = machine(machine_);
        for ipa in [0, MONITOR.0 - 1, MONITOR.0 + MONITOR.1, DEVICES[0].0] {
            assert_eq!(reached(&generations, ipa), Some((ipa, true)), "{ipa:#x}");
        }
        assert_eq!(reached(&generations, GUARDED), Some((GUARDED, false)));
        for ipa in [MONITOR.0, MONITOR.0 + MONITOR.1 - 1, WITHHELD[0].0] {
            assert_eq!(reached(&generations, ipa), None, "{ipa:#x} on {machine_:?}");
        }
    }
}

#[test]
fn its_vmid_is_no_generations() {
    let generations = generations(5);
    let devices = generations.open_to_devices().vmid.into();
    generations.end();
    for number in 8..40 {
        generations.begin(number).expect("a root is free");
        assert!(generations.enter(number));
        assert_ne!(fake::get("VTTBR_EL2") >> 48, devices, "generation {number}");
        generations.looking(|| assert_ne!(fake::get("VTTBR_EL2") >> 48, devices, "looking"));
        generations.end();
    }
}

/// A request that is refused leaves devices what they had.
#[test]
fn it_has_no_memory_from_the_step_that_ends_it_to_the_next_generation() {
    let generations = generations(5);
    let ipa = MONITOR.0 - 1;
    assert!(generations.enter(7));
    generations.open_to_devices();
    generations.end();
    assert!(
        reached(&generations, ipa).is_some(),
        "while a list is looked at"
    );
    generations.end_devices();
    assert_eq!(reached(&generations, ipa), None);
    generations.begin(8).expect("a root is free");
    assert!(reached(&generations, ipa).is_some(), "the next generation");
}

/// It takes as long as all else from the end of the copy to the next kernel.
#[test]
fn its_root_stays_empty_where_there_is_none() {
    let generations = generations(5);
    let root = || generations.devices.address(0);
    generations.end();
    generations.begin(8).expect("a root is free");
    assert!(generations.map_on_demand(MAPPED_AT_BOOT + 5 * GIB));
    fake::set("VTTBR_EL2", root());
    fake::set("VTCR_EL2", generations.geometry().vtcr());
    assert_eq!(walk(MONITOR.0 - 1), None);
    generations.open_to_devices();
    assert!(walk(MONITOR.0 - 1).is_some());
}

#[test]
fn it_reaches_what_a_cpu_has_had_mapped() {
    let generations = generations(5);
    generations.open_to_devices();
    let high = MAPPED_AT_BOOT + 5 * GIB;
    assert_eq!(reached(&generations, high), None);
    assert!(generations.map_on_demand(high));
    assert_eq!(reached(&generations, high), Some((high, true)));
}

#[test]
fn a_guarded_page_can_be_hidden_and_shown() {
    let generations = generations(5);
    let page = Region::new(GUARDED, 0x1000).expect("a page");
    assert!(generations.enter(7));
    let before = fake::instructions().len();
    generations.let_read(&page, false);
    assert_eq!(walk(GUARDED), None);
    // No CPU has what it could read before.
    assert!(fake::instructions()[before..].contains(&"tlbi vmalls12e1is"));
    expect(GUARDED + 0x1000, true, true);
    generations.let_read(&page, true);
    expect(GUARDED, false, false);
}
