// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::devicetree::sample::{Sample, cells, wide};
use crate::memory::region::RegionError;
use alloc::vec::Vec;

const PL011: &str = "/pl011@9000000";

fn console(kind: UartKind, settings: Option<&str>) -> Result<Option<Console>, RegError> {
    let registers = Region::new(0x900_0000, 0x1000).expect("test region");
    Ok(Some(Console {
        kind,
        registers,
        settings: settings.map(Into::into),
    }))
}

#[test]
fn follows_paths_and_aliases() {
    let mut tree = Sample::virt();
    tree.set("/aliases", "serial0", PL011)
        .set("/aliases", "root", "/");
    let cases = [
        (PL011, None),
        ("/pl011", None),
        ("/pl011@9000000:115200", Some("115200")),
        ("serial0", None),
        ("serial0:115200n8", Some("115200n8")),
        ("root/pl011@9000000:9600", Some("9600")),
    ];
    for (path, settings) in cases {
        tree.set("/chosen", "stdout-path", path);
        assert_eq!(
            tree.read(read),
            console(UartKind::Pl011, settings),
            "{path}"
        );
    }
    tree.unset("/chosen", "stdout-path")
        .set("/chosen", "linux,stdout-path", "serial0");
    assert_eq!(
        tree.read(read),
        console(UartKind::Pl011, None),
        "as older trees have it"
    );
}

#[test]
fn is_none_where_nothing_is_named() {
    let mut tree = Sample::virt();
    for path in ["/nowhere", "serial1", "", ":115200"] {
        tree.set("/chosen", "stdout-path", path);
        assert_eq!(tree.read(read), Ok(None), "{path:?}");
    }
    tree.unset("/chosen", "stdout-path");
    assert_eq!(tree.read(read), Ok(None), "no stdout-path");
    tree.remove("/chosen");
    assert_eq!(tree.read(read), Ok(None), "no /chosen");
}

#[test]
fn tells_kinds() {
    let ns16550 = |reg_shift, io_width| UartKind::Ns16550 {
        reg_shift,
        io_width,
    };
    let cases = [
        ("arm,pl011", UartKind::Pl011),
        ("arm,sbsa-uart", UartKind::Pl011),
        ("ns16550a", ns16550(0, 1)),
        ("snps,dw-apb-uart", ns16550(0, 1)),
        (BCM2835_AUX, ns16550(2, 4)),
        ("cdns,uart-r1p12", UartKind::Cadence),
        ("fsl,imx6q-uart", UartKind::Imx),
        (
            "amlogic,meson-gx-uart",
            UartKind::Unknown("amlogic,meson-gx-uart".into()),
        ),
    ];
    for (compatible, kind) in cases {
        let mut tree = Sample::virt();
        tree.set(PL011, "compatible", compatible);
        assert_eq!(tree.read(read), console(kind, None), "{compatible}");
    }
    let mut tree = Sample::virt();
    tree.set(PL011, "compatible", "arm,primecell");
    let unknown = UartKind::Unknown("arm,primecell".into());
    assert_eq!(tree.read(read), console(unknown, None), "any part of Arm's");
    tree.set(PL011, "arm,primecell-periphid", 0x0024_1011u32);
    assert_eq!(
        tree.read(read),
        console(UartKind::Pl011, None),
        "by its part number"
    );
    tree.unset(PL011, "compatible")
        .unset(PL011, "arm,primecell-periphid");
    assert_eq!(tree.read(read), console(UartKind::Unknown("".into()), None));
}

#[test]
fn reads_register_layout() {
    let mut tree = Sample::virt();
    tree.set(PL011, "compatible", "ns16550a")
        .set(PL011, "reg-shift", 2u32);
    tree.set(PL011, "reg-io-width", 4u32)
        .set(PL011, "reg-offset", 0x40u32);
    let registers = Region::new(0x900_0040, 0xfc0).expect("test region");
    let kind = UartKind::Ns16550 {
        reg_shift: 2,
        io_width: 4,
    };
    assert_eq!(
        tree.read(read),
        Ok(Some(Console {
            kind,
            registers,
            settings: None
        }))
    );
    for offset in [0x1000u64, u64::MAX] {
        tree.set(PL011, "reg-offset", wide(&[offset]));
        let expected = RegError::Missing {
            node: PL011.into(),
            index: 0,
        };
        assert_eq!(
            tree.read(read),
            Err(expected),
            "offset {offset:#x} is outside"
        );
    }
}

#[test]
fn goes_through_ranges() {
    let mut tree = Sample::virt();
    let uart = "/soc/bus@100/serial@40";
    tree.set("/chosen", "stdout-path", uart)
        .set(uart, "compatible", "arm,pl011");
    tree.set_cells("/soc", 1, 1);
    tree.set(
        "/soc",
        "ranges",
        cells(&[0x7000_0000, 0, 0x900_0000, 0x1_0000]),
    );
    tree.set_cells("/soc/bus@100", 1, 1);
    tree.set("/soc/bus@100", "ranges", Vec::new());
    tree.set(uart, "reg", cells(&[0x7000_0000, 0x1000]));
    assert_eq!(
        tree.read(read),
        console(UartKind::Pl011, None),
        "one empty, one not"
    );
    tree.set(
        "/soc/bus@100",
        "ranges",
        cells(&[0, 1, 1, 0x40, 0x7000_0000, 0x1000]),
    );
    tree.set(uart, "reg", cells(&[0x40, 0x1000]));
    assert_eq!(
        tree.read(read),
        console(UartKind::Pl011, None),
        "the second entry of two"
    );

    let unmapped = |start, size, bus: &str| {
        let region = Region::new(start, size).expect("test region");
        Err(RegError::Unmapped {
            node: uart.into(),
            region,
            bus: bus.into(),
        })
    };
    tree.set(uart, "reg", cells(&[0x41, 0x1000]));
    assert_eq!(
        tree.read(read),
        unmapped(0x41, 0x1000, "/soc/bus@100"),
        "runs over the end"
    );
    tree.set(uart, "reg", cells(&[0x40, 0x1000]))
        .unset("/soc", "ranges");
    assert_eq!(
        tree.read(read),
        unmapped(0x7000_0000, 0x1000, "/soc"),
        "no ranges"
    );
    tree.set(
        "/soc",
        "ranges",
        cells(&[0x7000_0000, u32::MAX, 0xffff_f800, 0x1000]),
    );
    assert_eq!(
        tree.read(read),
        unmapped(0x7000_0000, 0x1000, "/soc"),
        "wraps around"
    );
}

#[test]
fn refuses_bad_registers() {
    let mut tree = Sample::virt();
    let node = || PL011.into();
    let cases = [
        (
            wide(&[1]),
            RegError::Cells {
                node: node(),
                length: 8,
            },
        ),
        (
            Vec::new(),
            RegError::Missing {
                node: node(),
                index: 0,
            },
        ),
        (
            wide(&[5, 0]),
            RegError::Region {
                node: node(),
                error: RegionError::Empty(5),
            },
        ),
        (
            wide(&[u64::MAX, 2]),
            RegError::Region {
                node: node(),
                error: RegionError::Wraps {
                    start: u64::MAX,
                    size: 2,
                },
            },
        ),
    ];
    for (reg, expected) in cases {
        tree.set(PL011, "reg", reg);
        assert_eq!(tree.read(read), Err(expected));
    }
    tree.set("/", "#address-cells", 3u32)
        .set(PL011, "reg", cells(&[1, 2, 3, 4, 5]));
    let expected = RegError::Cells {
        node: node(),
        length: 20,
    };
    assert_eq!(tree.read(read), Err(expected), "an address of 96 bits");
}
