// SPDX-License-Identifier: Apache-2.0
//! The device tree of a [`baton_abi::KEXEC`] call, which is judged as that of Linux's own kexec.

use super::*;
use crate::arch::fake::mmio;
use crate::machine::fake::Bench;
use crate::machine::report_table::ReportTable;
use crate::report;
use alloc::string::String;
use alloc::vec::Vec;
use baton_abi::{ReportHeader, ReportRow};
use baton_core::acpi::sum;
use baton_core::devicetree::blob;
use baton_core::devicetree::next_tree::NextTreeError;
use baton_core::options::Options;
use baton_core::report::property::{self, About};
use baton_core::report::{acpi, times};
use baton_sysreg::fake;
use core::sync::atomic::Ordering::Relaxed;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use zerocopy::FromBytes;

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
        Err(
            refusal @ Refusal::Invalid {
                why: InvalidRequest::Tree(error),
                ..
            },
        ) if error == expected => {
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
                Err(Refusal::Invalid {
                    why: InvalidRequest::Tree(NextTreeError::Tree(_)),
                    ..
                })
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

/// A tree with the report of no takeover, and with room for its times.
fn board_with_report(bench: &Bench) -> DeviceTree {
    let mut tree = DeviceTree::new();
    let text = property::empty(&About::default());
    let times = times::empty(bench.machine.cpus.len());
    let report = [("report", &text[..]), ("times", &times)];
    tree.root.add_child(node("baton", &report));
    tree
}

/// What is at `at` in the guest's memory.
fn bytes(bench: &Bench, at: usize, size: usize) -> Vec<u8> {
    let words = (0..size.next_multiple_of(4)).step_by(4);
    let words = words.flat_map(|offset| mmio::peek(bench.ram.base() + at + offset).to_le_bytes());
    words.take(size).collect()
}

/// The report in `bytes` is the one that is told to who asks for it, but for when the next kernel was entered.
#[track_caller]
fn expect_report(bench: &Bench, bytes: &[u8], what: &str) {
    let machine = &bench.machine;
    let header = report::header(machine).expect("a takeover");
    let text = property::find(bytes).expect("the text");
    let expected = report::text(&machine.options, Some(&header));
    let seen = bytes[text..][..property::SIZE].utf8_chunks().next();
    let expected = expected.utf8_chunks().next();
    assert_eq!(
        seen.map(|seen| seen.valid()),
        expected.map(|text| text.valid()),
        "{what}"
    );
    let (at, seen) = times::find_any(bytes, |_| true).expect("the times");
    assert!(
        seen.entered >= header.phase3_end,
        "{what}: entered at {}",
        seen.entered
    );
    let expected = ReportHeader {
        entered: seen.entered,
        ..header
    };
    assert_eq!(seen, expected, "{what}");
    let rows = bytes[at + size_of::<ReportHeader>()..].chunks(size_of::<ReportRow>());
    for (row, seen) in report::rows(machine).zip(rows) {
        let seen = ReportRow::read_from_bytes(seen);
        assert_eq!(seen, Ok(ReportRow { online: 0, ..row }), "{what}");
    }
}

#[test]
fn the_report_is_in_the_tree_wherever_that_comes_from() {
    const LARGE: usize = 0x2_0000;
    for (what, source, at) in [
        ("copied", Some(SOURCE), LARGE),
        ("in place", None, LARGE),
        ("in place, and not on a page", None, LARGE + 0x50),
    ] {
        let bench = Bench::new(Options::default());
        fake::set("CNTFRQ_EL0", 62_500_000);
        let tree = board_with_report(&bench);
        let size = tree.to_dtb().len();
        bench.write_tree(source.unwrap_or(at), &tree);
        let pages: Vec<_> = (0..size.next_multiple_of(PAGE))
            .step_by(PAGE)
            .filter_map(|page| Some((source? + page, at + page)))
            .collect();
        let behind = 0x5a5a_0000 | what.len() as u32;
        mmio::poke(
            bench.ram.base() + source.unwrap_or(at) + size.next_multiple_of(4),
            behind,
        );
        let seen = ask(&bench, &pages, (bench.ram.base() + at) as u64);
        assert!(matches!(seen, Ok(Next::Enter(_))), "{what}: seen {seen:?}");
        expect_report(&bench, &bytes(&bench, at, size), what);
        let seen = mmio::peek(bench.ram.base() + at + size.next_multiple_of(4));
        assert_eq!(seen, behind, "behind the tree: {what}");
        let word = bytes(&bench, at + 4, 4);
        assert_eq!(
            word,
            (size as u32).to_be_bytes(),
            "size in the header: {what}"
        );
    }
}

#[test]
fn the_report_is_in_the_acpi_table_and_that_adds_up() {
    const PLACE: usize = 0x4_0000;
    let mut bench = Bench::new(Options::default());
    fake::set("CNTFRQ_EL0", 62_500_000);
    let cpus = bench.machine.cpus.len();
    let table = acpi::table(cpus, &property::empty(&About::default()));
    for (offset, word) in table.chunks(4).enumerate() {
        let mut cell = [0; 4];
        cell[..word.len()].copy_from_slice(word);
        mmio::poke(
            bench.ram.base() + PLACE + 4 * offset,
            u32::from_le_bytes(cell),
        );
    }
    let start = (bench.ram.base() + PLACE) as u64;
    let place = bench.machine.ram.range(start, table.len() as u64);
    bench.machine.report = place.map(ReportTable::new);
    let tree = bench.write_tree(0x2_0000, &board_with_report(&bench));
    let seen = ask(&bench, &[], tree);
    assert!(matches!(seen, Ok(Next::Enter(_))), "seen {seen:?}");
    let seen = bytes(&bench, PLACE, table.len());
    expect_report(&bench, &seen, "table");
    assert_eq!(sum(&seen), 0, "all bytes of the table");
}
