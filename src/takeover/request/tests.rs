// SPDX-License-Identifier: Apache-2.0
//! The device tree of a [`baton_abi::KEXEC`] call, which is judged as that of Linux's own kexec.

use super::*;
use crate::arch::fake::mmio;
use crate::machine::fake::Bench;
use alloc::string::String;
use alloc::vec::Vec;
use baton_core::devicetree::blob;
use baton_core::devicetree::next_tree::NextTreeError;
use baton_core::options::Options;
use baton_sysreg::fake;
use core::sync::atomic::Ordering::Relaxed;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

/// Where the tree is to be, by its offset in the guest's memory, and from where it is copied there.
const TREE: usize = 0x6000;
const SOURCE: usize = 0xa000;
const PAGE: usize = 0x1000;

fn node(name: &str, properties: &[(&str, &[u8])]) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new(name).expect("a name");
    for (name, value) in properties {
        node.add_property(DeviceTreeProperty::new(*name, *value).expect("a name"));
    }
    node
}

/// A tree of a board with the monitor's memory in `/memory`, and as many bytes as two pages have.
fn board() -> DeviceTree {
    let mut tree = DeviceTree::new();
    let cells = 2_u32.to_be_bytes();
    for name in ["#address-cells", "#size-cells"] {
        let property = DeviceTreeProperty::new(name, cells).expect("a name");
        tree.root.add_property(property);
    }
    let reg = [0x4000_0000_u64, 0x4000_0000]
        .map(u64::to_be_bytes)
        .concat();
    let memory = [("device_type", &b"memory\0"[..]), ("reg", &reg)];
    tree.root.add_child(node("memory@40000000", &memory));
    tree.root
        .add_child(node("filler", &[("bytes", &[0x5a; PAGE])]));
    tree
}

/// Sets how many bytes the tree at offset `at` says that it has beyond its own.
fn add_room(bench: &Bench, at: usize, room: u32) {
    let word = bench.ram.base() + at + 4;
    let size = u32::from_be(mmio::peek(word)) + room;
    mmio::poke(word, size.to_be());
}

/// Asks for a kernel at 0x3000 with the device tree that is to be at `device_tree`, on a list of `pages`.
fn ask(bench: &Bench, pages: &[(usize, usize)], device_tree: u64) -> Result<Next, Refusal> {
    fake::set("ICC_SRE_EL1", 7);
    fake::set("ICC_RPR_EL1", 0xff);
    let kernel = [(0x8000, 0x3000)];
    let request = KexecRequest::Call {
        list: bench.write_list(0x1000, &[&kernel[..], pages].concat()),
        entry: bench.ram.base() as u64 + 0x3000,
        device_tree,
    };
    kexec(&bench.machine, &bench.machine.cpus[0], request)
}

/// The entries of the memory reservation block of the tree at offset `at`, addresses and sizes.
fn reservations(bench: &Bench, at: usize) -> Vec<(u64, u64)> {
    let words = (0..2 * PAGE).step_by(4);
    let bytes: Vec<u8> = words
        .flat_map(|offset| mmio::peek(bench.ram.base() + at + offset).to_le_bytes())
        .collect();
    let fdt = blob::open(&bytes).expect("the next kernel's tree");
    let filler = fdt.find_node("/filler");
    assert!(filler.is_some(), "what was in the tree is gone");
    let entries = fdt.memory_reservations();
    entries
        .map(|entry| (entry.address(), entry.size()))
        .collect()
}

#[track_caller]
fn expect_refusal(seen: &Result<Next, Refusal>, expected: &NextTreeError) {
    match seen {
        Err(refusal @ Refusal::Invalid(InvalidRequest::Tree(error))) if error == expected => {
            assert_eq!(refusal.code(), ErrorCode::InvalidParameters);
        }
        other => panic!("expected {expected:?}, seen {other:?}"),
    }
}

#[test]
fn a_tree_in_place_gets_the_reservation() {
    let bench = Bench::new(Options::default());
    let monitor = bench.machine.monitor;
    // It need not begin where a page does.
    for at in [TREE, TREE + PAGE - 16] {
        let tree = bench.write_tree(at, &board());
        add_room(&bench, at, 16);
        let seen = ask(&bench, &[], tree);
        assert!(matches!(seen, Ok(Next::Enter(_))), "seen {seen:?}");
        let expected = [(monitor.start(), monitor.size())];
        assert_eq!(reservations(&bench, at), expected, "at {at:#x}");
    }
}

#[test]
fn a_tree_on_the_list_gets_the_reservation() {
    let bench = Bench::new(Options::default());
    let monitor = bench.machine.monitor;
    bench.write_tree(SOURCE, &board());
    add_room(&bench, SOURCE, 16);
    let pages = [(SOURCE, TREE), (SOURCE + PAGE, TREE + PAGE)];
    let seen = ask(&bench, &pages, (bench.ram.base() + TREE) as u64);
    assert!(matches!(seen, Ok(Next::Enter(_))), "seen {seen:?}");
    let expected = [(monitor.start(), monitor.size())];
    assert_eq!(reservations(&bench, TREE), expected);
    assert_eq!(
        reservations(&bench, SOURCE),
        [],
        "the source is not touched"
    );
}

#[test]
fn a_tree_without_room_is_refused_and_the_guest_goes_on() {
    let bench = Bench::new(Options::default());
    let tree = bench.write_tree(TREE, &board());
    add_room(&bench, TREE, 15);
    let room = board().to_dtb().len() + 15;
    let seen = ask(&bench, &[], tree);
    expect_refusal(&seen, &NextTreeError::NoRoom { room });
    let (machine, cpu) = (&bench.machine, &bench.machine.cpus[0]);
    assert_eq!(machine.takeover.reboots(), 0);
    let rendezvous = &machine.takeover.rendezvous;
    assert!(!rendezvous.is_over(&cpu.member) && !rendezvous.is_closed());
    assert!(
        machine.generations.enter(cpu.member.generation()),
        "it has no memory"
    );
    assert_eq!(cpu.times.part.load(Relaxed), 0, "it took part in no reboot");
    assert_eq!(reservations(&bench, TREE), []);
}

#[test]
fn a_tree_that_leads_around_the_monitor_is_refused() {
    let bench = Bench::new(Options::default());
    let mut board = board();
    let mut cpus = node("cpus", &[]);
    let release = 0x4000_0008_u64.to_be_bytes();
    cpus.add_child(node(
        "cpu@1",
        &[
            ("enable-method", b"spin-table\0"),
            ("cpu-release-addr", &release),
        ],
    ));
    board.root.add_child(cpus);
    let tree = bench.write_tree(TREE, &board);
    let node = String::from("/cpus/cpu@1");
    expect_refusal(&ask(&bench, &[], tree), &NextTreeError::SpinTable { node });
}

#[test]
fn what_is_no_tree_is_refused() {
    let bench = Bench::new(Options::default());
    let place = (bench.ram.base() + TREE) as u64;
    let is_refused = |pages: &[_], what| {
        let seen = ask(&bench, pages, place);
        assert!(
            matches!(
                seen,
                Err(Refusal::Invalid(InvalidRequest::Tree(NextTreeError::Tree(
                    _
                ))))
            ),
            "{what}: seen {seen:?}"
        );
    };
    is_refused(&[], "zeroes");
    bench.write_tree(TREE, &board());
    is_refused(
        &[(SOURCE, TREE + PAGE)],
        "a tree in place whose second page is overwritten",
    );
    bench.write_tree(SOURCE, &board());
    is_refused(
        &[(SOURCE + PAGE, TREE + PAGE), (SOURCE, TREE)],
        "pages that do not follow each other",
    );
}
