// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::devicetree::sample::{Sample, wide};

/// A tree as Linux's EFI stub makes it where there is ACPI.
fn stub() -> Sample {
    let mut tree = Sample::empty();
    tree.set("/chosen", SYSTEM_TABLE, wide(&[0xbfff_0018]))
        .set("/chosen", MAP_START, wide(&[0xbc00_0040]))
        .set("/chosen", MAP_SIZE, 0x960u32)
        .set("/chosen", DESCRIPTOR_SIZE, 48u32)
        .set("/chosen", DESCRIPTOR_VERSION, 1u32);
    tree
}

fn read(tree: &Sample) -> Result<Option<Uefi>, UefiError> {
    tree.read(Uefi::read)
}

#[test]
fn reads_where_the_tables_are() {
    let expected = Uefi {
        system_table: 0xbfff_0018,
        map: Region::new(0xbc00_0040, 0x960).expect("test region"),
        descriptor: 48,
        version: 1,
    };
    assert_eq!(read(&stub()), Ok(Some(expected)));
    assert_eq!(read(&Sample::virt()), Ok(None), "without UEFI");
    assert_eq!(read(&Sample::empty()), Ok(None), "without /chosen");
}

#[test]
fn names_what_is_missing_or_wrong() {
    for property in [MAP_START, MAP_SIZE, DESCRIPTOR_SIZE, DESCRIPTOR_VERSION] {
        let mut tree = stub();
        tree.unset("/chosen", property);
        let expected = UefiError {
            property,
            length: 0,
            value: 0,
        };
        assert_eq!(read(&tree), Err(expected));
    }
    for (property, value) in [
        (MAP_SIZE, 0),
        (MAP_SIZE, !0),
        (DESCRIPTOR_SIZE, 1 << 32),
        (DESCRIPTOR_VERSION, 1 << 32),
    ] {
        let mut tree = stub();
        tree.set("/chosen", property, wide(&[value]));
        let expected = UefiError {
            property,
            length: 8,
            value,
        };
        assert_eq!(read(&tree), Err(expected));
    }
}

#[test]
fn a_tree_with_a_machine_is_no_stub() {
    let is_stub = |tree: &Sample| tree.read(|fdt| is_stub(&fdt));
    assert!(is_stub(&stub()));
    assert!(!is_stub(&Sample::virt()));
    let mut tree = stub();
    tree.node("/reserved-memory");
    assert!(!is_stub(&tree), "another node");
}
