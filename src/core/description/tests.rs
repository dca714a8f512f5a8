// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::acpi::sample::{self as acpi_sample, Madt, RSDP, fadt, spcr};
use crate::devicetree::sample::{Sample, wide};
use crate::efi::sample::{
    AT_RUNTIME, Memory, WRITE_BACK, configuration, map, reserve, system_table,
};
use alloc::vec::Vec;

const MAP: u64 = 0xbc00_0040;
const TABLE: u64 = 0xbfff_0018;
const ENTRIES: u64 = 0xbffe_0100;
const RESERVE: u64 = 0xbb00_0000;
const KERNEL: u64 = 0x4240_0000;

const ACPI_20: [u8; 16] = [
    0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4, 0xd3, 0x11, 0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81,
];
const MEMORY_RESERVE: [u8; 16] = [
    0xc6, 0xb0, 0x8e, 0x88, 0xde, 0x8e, 0xf5, 0x4f, 0xa8, 0xf0, 0x9a, 0xee, 0x5c, 0xb9, 0x77, 0xc2,
];

fn region(start: u64, size: u64) -> Region {
    Region::new(start, size).expect("test region")
}

/// A machine of two CPUs with memory from 0x40000000 to 0xc0000000, as UEFI leaves it to a kernel.
fn memory(tables: &[([u8; 16], u64)]) -> Memory {
    let mut madt = Madt::new(4);
    madt.gicd(0x800_0000, 3);
    (0..2).for_each(|mpidr| {
        madt.gicc(&acpi_sample::Cpu::new(mpidr));
    });
    madt.gicr(0, 0x80a_0000, 0xf6_0000);
    let spcr = spcr(3, &acpi_sample::Address::words(0x900_0000));
    let acpi = acpi_sample::Sample::xsdt(&[fadt(6, 0, 1), madt.table(), spcr]);
    let mut memory = Memory::default();
    memory
        .put(MAP, the_map())
        .put(TABLE, system_table(tables.len() as u32, ENTRIES))
        .put(ENTRIES, configuration(tables))
        .put(RESERVE, reserve(2, 0, &[(0xba00_0000, 0x10_0000)]))
        .put(RSDP, acpi.bytes);
    memory
}

fn the_map() -> Vec<u8> {
    map(
        48,
        &[
            (7, 0x4000_0000, 0, 0x7_c000, WRITE_BACK),
            (2, 0xbc00_0000, 0, 0x3000, WRITE_BACK),
            (9, 0xbf00_0000, 0, 0xfe0, WRITE_BACK),
            (6, 0xbffe_0000, 0, 0x20, AT_RUNTIME),
        ],
    )
}

fn with_uefi(mut tree: Sample) -> Sample {
    let size = the_map().len() as u32;
    tree.set("/chosen", "linux,uefi-system-table", wide(&[TABLE]))
        .set("/chosen", "linux,uefi-mmap-start", wide(&[MAP]))
        .set("/chosen", "linux,uefi-mmap-size", size)
        .set("/chosen", "linux,uefi-mmap-desc-size", 48u32)
        .set("/chosen", "linux,uefi-mmap-desc-ver", 1u32)
        .set("/chosen", "bootargs", "console=ttyAMA0 baton.log=debug");
    tree
}

fn board(tree: &Sample, memory: &Memory) -> Result<Board, DescriptionError> {
    let blob = tree.blob();
    let description = Description::open(&blob, memory)?;
    assert!(description.console().is_some(), "a console");
    description.board(Some(region(KERNEL, 0x10_0000)))
}

#[test]
fn a_machine_of_acpi_alone() {
    let tree = with_uefi(Sample::empty());
    let memory = memory(&[(ACPI_20, RSDP), (MEMORY_RESERVE, RESERVE)]);
    let board = board(&tree, &memory).expect("a board");
    assert_eq!(board.hardware.cpus.len(), 2);
    assert_eq!(board.map.modules.kernel, region(KERNEL, 0x10_0000));
    assert_eq!(board.bootargs, "console=ttyAMA0 baton.log=debug");
    assert_eq!(board.map.modules.bootargs, Some(board.bootargs.clone()));
    let ram: Vec<_> = board.map.memory.iter().copied().collect();
    assert_eq!(ram, [region(0x4000_0000, 0x7ffe_0000)]);
    let reserved: Vec<_> = board.map.reserved.iter().copied().collect();
    let expected = [
        region(0xba00_0000, 0x10_0000),
        region(RESERVE, 48),
        region(0xbc00_0000, 0x3fe_0000),
    ];
    assert_eq!(reserved, expected);
}

#[test]
fn a_tree_describes_the_machine_where_it_does() {
    let mut tree = with_uefi(Sample::virt());
    tree.set_cells("/reserved-memory", 2, 2).set(
        "/reserved-memory/firmware@41000000",
        "reg",
        wide(&[0x4100_0000, 0x1000]),
    );
    // There is no ACPI, and none is needed.
    let board = board(&tree, &memory(&[])).expect("a board");
    assert_eq!(board.hardware.cpus.len(), 2);
    assert_eq!(board.map.memory.total(), 0x7ffe_0000, "by UEFI");
    assert!(board.map.reserved.contains(0x4100_0000, 0x1000));

    let without = Sample::virt();
    let board = self::board(&without, &Memory::default()).expect("a board");
    assert_eq!(board.map.memory.total(), 0x4000_0000, "by the tree");
}

#[test]
fn says_what_is_missing() {
    let tree = with_uefi(Sample::empty());
    let none = board(&tree, &Memory::default());
    let size = the_map().len() as u64;
    let expected = DescriptionError::MapElsewhere(region(MAP, size));
    assert_eq!(none, Err(expected));
    assert_eq!(board(&tree, &memory(&[])), Err(DescriptionError::Nobody));
    let no_rsdp = board(&tree, &memory(&[(ACPI_20, 0x1234)]));
    assert_eq!(no_rsdp, Err(AcpiError::NoRsdp(0x1234).into()));

    let mut old = with_uefi(Sample::empty());
    old.set("/chosen", "linux,uefi-mmap-desc-ver", 2u32);
    let seen = board(&old, &memory(&[(ACPI_20, RSDP)]));
    assert_eq!(seen, Err(MapError::Version(2).into()));
}

#[test]
fn a_map_outside_of_memory_is_refused() {
    let mut tree = with_uefi(Sample::empty());
    tree.set("/chosen", "linux,uefi-mmap-start", wide(&[0x1000]));
    let mut memory = memory(&[(ACPI_20, RSDP)]);
    memory.put(0x1000, the_map());
    let size = the_map().len() as u64;
    let expected = DescriptionError::MapElsewhere(region(0x1000, size));
    assert_eq!(board(&tree, &memory), Err(expected));
}
