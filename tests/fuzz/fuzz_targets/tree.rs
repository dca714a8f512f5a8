// SPDX-License-Identifier: Apache-2.0
//! Reads any bytes as a device tree: every reader ends, and the guest's tree that is made of it is
//! sound.
#![no_main]

use baton_core::devicetree::blob;
use baton_core::devicetree::board::{Board, console};
use baton_core::devicetree::cpus;
use baton_core::devicetree::guest_console::MonitorUart;
use baton_core::devicetree::guest_tree::{GuestTree, guest_tree};
use baton_core::devicetree::survey;
use baton_core::memory::region::Region;
use dtoolkit::fdt::FdtNode;
use dtoolkit::{Node, Property};
use libfuzzer_sys::fuzz_target;

/// Reads all of a node and the nodes below it.
fn visit(node: &FdtNode<'_>, depth: usize) {
    assert!(depth <= blob::MAX_DEPTH, "opened with {depth} levels");
    assert!(node.name().len() < 1 << 20);
    for property in node.properties() {
        assert!(!property.name().contains('\0'));
        std::hint::black_box(property.value().iter().fold(0, |sum, byte| sum ^ byte));
    }
    for child in node.children() {
        visit(&child, depth + 1);
    }
}

/// Returns whether a kernel with this tree keeps out of the monitor's memory; `None` if it is none.
fn keeps_out(tree: &[u8], monitor: &Region) -> Option<bool> {
    survey::look(tree, monitor).ok().map(|seen| seen.keeps_out)
}

fuzz_target!(|data: &[u8]| {
    let monitor = Region::new(0x7fe0_0000, 0x20_0000).expect("a region");
    let config = GuestTree {
        monitor,
        log: monitor,
        lpi_tables: Some(Region::new(0x4800_0000, 0x1_0000).expect("a region")),
        bootargs: Some("quiet"),
        ramdisk: Some(monitor),
        cpus: &[],
        own_psci: true,
        uefi_map: None,
        report: &[0; 1024],
        times: &[0; 264],
    };
    let opened = blob::open(data);
    if let Ok(fdt) = opened {
        visit(&fdt.root(), 1);
        std::hint::black_box(fdt.memory_reservations().count());
        if let Ok(console) = console(fdt) {
            let uart = MonitorUart::new(fdt, console);
            std::hint::black_box(uart.usage(data));
        }
    }
    let board = Board::read(data);
    if let Err(error) = &board {
        assert!(!error.to_string().is_empty());
    }
    assert!(opened.is_ok() || board.is_err(), "a board of no tree");
    let keeps = keeps_out(data, &monitor);
    assert_eq!(keeps.is_some(), opened.is_ok());
    if let Ok(made) = guest_tree(data, &config) {
        let kept = keeps_out(&made, &monitor);
        assert_eq!(
            kept,
            Some(true),
            "the guest's tree has the monitor's memory"
        );
        let fdt = blob::open(&made).expect("a tree that opens");
        let offered = cpus::read(fdt).map(|cpus| cpus.len());
        assert!(!matches!(offered, Ok(1..)), "a CPU that is not offered");
    }
});
