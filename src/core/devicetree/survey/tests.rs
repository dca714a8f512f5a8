// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::devicetree::sample::{Sample, wide};
use alloc::vec::Vec;

const MIB: u64 = 1 << 20;
const MEMORY_NODE: &str = "/memory@40000000";
/// The monitor's memory.
const MONITOR: Region = match Region::new(0x7000_0000, 2 * MIB) {
    Ok(region) => region,
    Err(_) => panic!("test region"),
};

fn keeps_out(tree: &Sample) -> bool {
    look(&tree.blob(), &MONITOR).expect("a tree").keeps_out
}

#[test]
fn judges_what_keeps_out() {
    let board = Sample::virt();
    assert!(!keeps_out(&board), "the board's own tree");
    let mut tree = board.clone();
    let node = "/reserved-memory/baton@70000000";
    tree.set_cells("/reserved-memory", 2, 2);
    tree.set(node, "reg", wide(&[0x7000_0000, 2 * MIB]));
    assert!(!keeps_out(&tree), "reserved, yet mapped");
    tree.set(node, "no-map", Vec::new());
    assert!(keeps_out(&tree), "in memory, yet not mapped");
    tree.set(node, "status", "disabled");
    assert!(!keeps_out(&tree), "not available");
    for status in ["okay", "ok"] {
        tree.set(node, "status", status);
        assert!(keeps_out(&tree), "{status}");
    }
    tree.unset(node, "status")
        .set(node, "reg", wide(&[0x7000_0000, MIB]));
    assert!(!keeps_out(&tree), "half of it");
    let other = "/reserved-memory/other";
    tree.set(other, "reg", wide(&[0x700f_0000, 2 * MIB, 1, 1]));
    tree.set(other, "no-map", Vec::new());
    assert!(keeps_out(&tree), "by two together");
    tree.remove("/reserved-memory")
        .set(MEMORY_NODE, "reg", wide(&[0x4000_0000, 0x3000_0000]));
    assert!(keeps_out(&tree), "memory ends below");
    tree.set(MEMORY_NODE, "linux,usable-memory", wide(&[0x7000_0000, 1]));
    assert!(!keeps_out(&tree), "usable by another property");
}

#[test]
fn what_is_no_tree_has_nothing() {
    let seen = look(&[0; 40], &MONITOR);
    assert!(matches!(seen, Err(BlobError::Magic(0))), "seen {seen:?}");
}

#[test]
fn addresses_have_the_cells_of_the_root() {
    let mut tree = Sample::virt();
    tree.set_cells("/", 1, 1);
    let cells = [0x7000_0000_u32, 0x20_0000].map(u32::to_be_bytes).concat();
    tree.set(MEMORY_NODE, "reg", cells.clone());
    assert!(!keeps_out(&tree), "one cell each");
    // Linux takes the last two of more cells, and no part of an entry.
    tree.set_cells("/", 3, 1);
    let high = 9_u32.to_be_bytes();
    let wide = [&high[..], &[0; 4], &cells].concat();
    tree.set(MEMORY_NODE, "reg", wide.clone());
    assert!(!keeps_out(&tree), "three cells and one");
    tree.set(MEMORY_NODE, "reg", wide[..12].to_vec());
    assert!(keeps_out(&tree), "less than an entry");
    tree.set_cells("/", u32::MAX, u32::MAX);
    assert!(keeps_out(&tree), "entries of 32 GiB");
}

#[test]
fn entries_of_the_reservation_block_count() {
    let mut tree = Sample::virt();
    for (start, size, expected) in [
        (0x7000_0000, 2 * MIB, true),
        (0x6000_0000, 512 * MIB, true),
        (0x7000_0000, MIB, false),
        (0x7000_0000, u64::MAX, false),
    ] {
        let entry = dtoolkit::memreserve::MemoryReservation::new;
        tree.0.memory_reservations = alloc::vec![entry(0x1000, 0x2000), entry(start, size)];
        assert_eq!(keeps_out(&tree), expected, "{size:#x} bytes at {start:#x}");
    }
}

#[test]
fn many_parts_may_cover_the_monitor_together() {
    let mut tree = Sample::virt();
    tree.set_cells("/reserved-memory", 2, 2);
    let mut cover = |parts: u64, is_first: fn(u64) -> bool| {
        tree.remove("/reserved-memory");
        tree.set_cells("/reserved-memory", 2, 2);
        let size = MONITOR.size() / parts;
        let (first, rest): (Vec<u64>, Vec<u64>) = (0..parts).partition(|part| is_first(*part));
        for part in first.into_iter().chain(rest) {
            let start = MONITOR.start() + part * size;
            let node = alloc::format!("/reserved-memory/part@{part}");
            tree.set(&node, "reg", wide(&[start, size]));
            tree.set(&node, "no-map", Vec::new());
        }
        keeps_out(&tree)
    };
    assert!(cover(64, |_| true), "one after the other");
    assert!(
        cover(32, |part| part % 2 == 0),
        "16 with gaps, and the gaps"
    );
    assert!(!cover(64, |part| part % 2 == 0), "more than are looked at");
}

#[test]
fn the_first_node_of_a_name_counts() {
    let mut tree = Sample::virt();
    let has_hvc = |tree: &Sample| look(&tree.blob(), &MONITOR).expect("a tree").has_hvc;
    assert!(!has_hvc(&tree), "by SMC");
    tree.set("/psci", "method", "hvc");
    assert!(has_hvc(&tree));
    tree.set("/psci", "method", "hvc-or-so");
    assert!(!has_hvc(&tree), "another word");
    tree.remove("/psci").set("/psci@0", "method", "hvc");
    assert!(has_hvc(&tree), "whatever its unit address");
    tree.set("/psci@1", "method", "smc");
    assert!(has_hvc(&tree), "the second one is not looked at");
    tree.set("/other/psci", "method", "hvc")
        .remove("/psci@0")
        .remove("/psci@1");
    assert!(!has_hvc(&tree), "no child of the root");
}
