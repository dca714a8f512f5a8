// SPDX-License-Identifier: Apache-2.0
//! Opens what describes the machine to a kernel, a device tree that leads to UEFI's tables, with changes in all of
//! it: a board that is accepted is consistent, and an error has a text.
#![no_main]

use baton_core::description::{Description, DescriptionError};
use baton_core::devicetree::blob;
use baton_core::devicetree::board::Board;
use baton_core::devicetree::uefi::Uefi;
use baton_core::memory::region::Region;
use baton_fuzz::efi::{DESCRIPTOR, MAP, TABLE, changed};
use baton_fuzz::input::Input;
use baton_fuzz::trees::{NODES, Sample, change};
use dtoolkit::model::DeviceTreeProperty;
use libfuzzer_sys::fuzz_target;
use std::collections::HashSet;

/// What `/chosen` says of UEFI.
const PROPERTIES: [&str; 5] = [
    "linux,uefi-system-table",
    "linux,uefi-mmap-start",
    "linux,uefi-mmap-size",
    "linux,uefi-mmap-desc-size",
    "linux,uefi-mmap-desc-ver",
];
/// Descriptors of the sound map.
const DESCRIPTORS: usize = 4;

fn set(tree: &mut Sample, name: &str, value: &[u8]) {
    let property = DeviceTreeProperty::new_unchecked(name, value);
    tree.node("/chosen").add_property(property);
}

/// Returns a tree that leads to the tables, with what an input changes: a part of these words, then the tree.
fn tree(input: &mut Input<'_>) -> Sample {
    let kind = input.u8();
    let mut tree = if kind & 1 == 0 {
        Sample::empty()
    } else {
        Sample::virt()
    };
    let [wide, narrow] = [
        [TABLE, MAP, 0],
        [(DESCRIPTORS * DESCRIPTOR) as u64, DESCRIPTOR as u64, 1],
    ];
    for (name, value) in PROPERTIES.iter().zip(&wide[..2]) {
        set(&mut tree, name, &value.to_be_bytes());
    }
    for (name, value) in PROPERTIES[2..].iter().zip(narrow) {
        set(&mut tree, name, &(value as u32).to_be_bytes());
    }
    for _ in 0..kind >> 1 & 3 {
        let name = input.choice(&PROPERTIES);
        match input.u8() & 3 {
            0 => set(&mut tree, name, &input.edge().to_be_bytes()),
            1 => set(&mut tree, name, &(input.edge() as u32).to_be_bytes()),
            2 => set(&mut tree, name, &[]),
            _ => {
                tree.node("/chosen").remove_property(name);
            }
        }
    }
    let count = if kind & 8 == 0 { 0 } else { input.u8() };
    let mut part = Input::new(input.bytes(count.into()));
    change(&mut tree, &NODES, &mut part);
    tree
}

fn check(board: &Board) {
    assert!(!board.map.memory.is_empty() && !board.hardware.cpus.is_empty());
    let mpidrs: HashSet<u64> = board.hardware.cpus.iter().map(|cpu| cpu.mpidr).collect();
    assert_eq!(
        mpidrs.len(),
        board.hardware.cpus.len(),
        "two CPUs of one MPIDR"
    );
    for set in [&board.map.memory, &board.map.reserved] {
        for (region, next) in set.iter().zip(set.iter().skip(1)) {
            assert!(region.end() < next.start(), "{region} and {next}");
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let tree = tree(&mut input).blob();
    let memory = changed(&mut input);
    let kernel = Region::new(0x4240_0000, 0x10_0000).expect("a region");
    let read = Description::open(&tree, &memory).and_then(|description| {
        if let Some(console) = description.console() {
            description.uart(console);
        }
        let board = description.board(Some(kernel))?;
        if let Ok(Some(uefi)) = blob::open(&tree).map_or(Ok(None), Uefi::read) {
            let (start, size) = (uefi.map.start(), uefi.map.size());
            assert!(
                board.map.memory.contains(start, size),
                "the map is in memory"
            );
            assert!(board.map.reserved.contains(start, size), "the map stays");
        }
        Ok::<_, DescriptionError>(board)
    });
    match read {
        Ok(board) => check(&board),
        Err(error) => {
            let is_changed = data.len() > 2 || data.first().is_some_and(|kind| kind & 0xe != 0);
            assert!(is_changed, "the sound machine: {error}");
            assert!(!error.to_string().is_empty());
        }
    }
});
