// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::devicetree::sample::{Sample, cells, wide};
use alloc::vec::Vec;

const KERNEL_NODE: &str = "/chosen/module@0x44000000";
const RAMDISK_NODE: &str = "/chosen/module@0x4a000000";

fn region(start: u64, size: u64) -> Region {
    Region::new(start, size).expect("test region")
}

fn read(fdt: Fdt<'_>) -> Result<Modules, BoardError> {
    super::read(fdt, None)
}

fn virt() -> Modules {
    Modules {
        kernel: region(0x4400_0000, 0x10_0000),
        bootargs: Some("console=ttyAMA0 quiet".into()),
        ramdisk: Some(region(0x4a00_0000, 0x1234)),
        appended: false,
    }
}

#[test]
fn reads_what_qemu_writes() {
    let mut tree = Sample::virt();
    assert_eq!(tree.read(read), Ok(virt()));
    tree.remove(RAMDISK_NODE).unset(KERNEL_NODE, "bootargs");
    let expected = Modules {
        bootargs: None,
        ramdisk: None,
        ..virt()
    };
    assert_eq!(tree.read(read), Ok(expected));
}

#[test]
fn reads_every_length_of_reg() {
    let mut tree = Sample::virt();
    let long = [0x4400_0000u64.to_be_bytes().to_vec(), cells(&[0x10_0000])].concat();
    let short = [cells(&[0x4400_0000]), 0x10_0000u64.to_be_bytes().to_vec()].concat();
    for (reg, address_cells) in [
        (wide(&[0x4400_0000, 0x10_0000]), 1u32),
        (cells(&[0x4400_0000, 0x10_0000]), 2),
        (long, 2),
        (short, 1),
    ] {
        tree.set("/chosen", "#address-cells", address_cells)
            .set(KERNEL_NODE, "reg", reg);
        assert_eq!(
            tree.read(read),
            Ok(virt()),
            "#address-cells {address_cells}"
        );
    }
}

#[test]
fn tells_unmarked_modules_by_order() {
    let mut tree = Sample::virt();
    tree.set(KERNEL_NODE, "compatible", "multiboot,module");
    tree.set(RAMDISK_NODE, "compatible", "multiboot,module");
    assert_eq!(tree.read(read), Ok(virt()), "both unmarked");
    let more = "/chosen/module@0x4f000000";
    tree.set(more, "compatible", "multiboot,module")
        .set(more, "reg", wide(&[1, 1]));
    assert_eq!(
        tree.read(read),
        Ok(virt()),
        "a third one is not for the monitor"
    );
    tree.remove(more);
    tree.strings(
        RAMDISK_NODE,
        "compatible",
        &["multiboot,ramdisk", "multiboot,module"],
    );
    assert_eq!(tree.read(read), Ok(virt()), "the kernel unmarked");
    tree.set(KERNEL_NODE, "compatible", "multiboot,kernel");
    tree.set(RAMDISK_NODE, "compatible", "multiboot,module");
    assert_eq!(tree.read(read), Ok(virt()), "the ramdisk unmarked");
    tree.set(RAMDISK_NODE, "status", "disabled");
    assert_eq!(
        tree.read(read),
        Ok(Modules {
            ramdisk: None,
            ..virt()
        })
    );
}

#[test]
fn refuses_none_and_two() {
    let mut tree = Sample::virt();
    tree.set(RAMDISK_NODE, "compatible", "multiboot,kernel");
    let (first, second) = (String::from(KERNEL_NODE), String::from(RAMDISK_NODE));
    assert_eq!(
        tree.read(read),
        Err(BoardError::SecondKernel { first, second })
    );
    tree.set(KERNEL_NODE, "compatible", "multiboot,ramdisk");
    tree.set(RAMDISK_NODE, "compatible", "multiboot,ramdisk");
    let (first, second) = (String::from(KERNEL_NODE), String::from(RAMDISK_NODE));
    assert_eq!(
        tree.read(read),
        Err(BoardError::SecondRamdisk { first, second })
    );
    tree.remove(KERNEL_NODE);
    assert_eq!(
        tree.read(read),
        Err(BoardError::NoKernel),
        "a ramdisk alone"
    );
    tree.remove("/chosen");
    assert_eq!(tree.read(read), Err(BoardError::NoKernel), "no /chosen");
}

#[test]
fn refuses_bad_properties() {
    let mut tree = Sample::virt();
    let node = || String::from(KERNEL_NODE);
    let cases = [
        (
            Vec::new(),
            BoardError::ModuleReg {
                node: node(),
                length: 0,
            },
        ),
        (
            wide(&[1, 1, 1]),
            BoardError::ModuleReg {
                node: node(),
                length: 24,
            },
        ),
        (
            wide(&[0x4400_0000, 0]),
            BoardError::ModuleEmpty {
                node: node(),
                start: 0x4400_0000,
            },
        ),
        (
            wide(&[u64::MAX, 16]),
            BoardError::ModuleWraps {
                node: node(),
                start: u64::MAX,
                size: 16,
            },
        ),
    ];
    for (reg, expected) in cases {
        tree.set(KERNEL_NODE, "reg", reg);
        assert_eq!(tree.read(read), Err(expected));
    }
    tree.set(KERNEL_NODE, "reg", wide(&[0x4400_0000, 0x10_0000]));
    for bootargs in [b"no NUL".to_vec(), b"\xff\0".to_vec()] {
        tree.set(KERNEL_NODE, "bootargs", bootargs);
        let expected = BoardError::Text {
            node: node(),
            property: "bootargs",
        };
        assert_eq!(tree.read(read), Err(expected));
    }
}

#[test]
fn takes_a_kernel_behind_the_monitor() {
    let appended = region(0x4060_0000, 0x1f0_0000);
    let read = |tree: &Sample| tree.read(|fdt| super::read(fdt, Some(appended)));
    let mut tree = Sample::virt();
    assert_eq!(read(&tree), Ok(virt()), "a module goes first");
    tree.remove(KERNEL_NODE).remove(RAMDISK_NODE);
    tree.set("/chosen", "bootargs", "root=/dev/vda2 baton.log=debug");
    let expected = Modules {
        kernel: appended,
        bootargs: Some("root=/dev/vda2 baton.log=debug".into()),
        ramdisk: None,
        appended: true,
    };
    assert_eq!(read(&tree), Ok(expected.clone()));
    // U-Boot and QEMU write one cell or two.
    for (start, end) in [
        (cells(&[0x4a00_0000]), cells(&[0x4a00_1234])),
        (wide(&[0x4a00_0000]), wide(&[0x4a00_1234])),
    ] {
        tree.set("/chosen", "linux,initrd-start", start)
            .set("/chosen", "linux,initrd-end", end);
        let expected = Modules {
            ramdisk: virt().ramdisk,
            ..expected.clone()
        };
        assert_eq!(read(&tree), Ok(expected));
    }
    tree.set("/chosen", "linux,initrd-end", cells(&[0x4a00_0000]));
    assert_eq!(read(&tree), Ok(expected), "an empty initrd");
}
