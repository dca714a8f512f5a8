// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::devicetree::sample::{Sample, cells, wide};
use alloc::vec::Vec;

const PL011: &str = "/pl011@9000000";
const SERIAL1: &str = "/serial@a000000";

fn console(name: &str) -> Result<Console, Silent> {
    on(name, 0x900_0000)
}

fn on(name: &str, start: u64) -> Result<Console, Silent> {
    Ok(Console {
        uart: Uart::find(name.as_bytes(), Spread::default()).expect(name),
        registers: Region::new(start, 0x1000).expect("test region"),
    })
}

/// The console with a command line.
fn with_line(tree: &mut Sample, line: &str) -> Result<Console, Silent> {
    tree.set("/chosen/module@0x44000000", "bootargs", line);
    tree.read(find)
}

/// A tree whose guest has no command line.
fn virt() -> Sample {
    let mut tree = Sample::virt();
    tree.unset("/chosen/module@0x44000000", "bootargs");
    tree
}

/// A tree without a `stdout-path`, with a PL011 and a 16550.
fn two() -> Sample {
    let mut tree = virt();
    tree.unset("/chosen", "stdout-path")
        .set(SERIAL1, "compatible", "ns16550a")
        .set(SERIAL1, "reg", wide(&[0xa00_0000, 0x1000]));
    tree
}

#[test]
fn follows_paths_and_aliases() {
    let mut tree = virt();
    tree.set("/aliases", "serial0", PL011)
        .set("/aliases", "root", "/");
    for path in [
        PL011,
        "/pl011",
        "/pl011@9000000:115200",
        "serial0",
        "serial0:115200n8",
        "root/pl011@9000000:9600",
    ] {
        tree.set("/chosen", "stdout-path", path);
        assert_eq!(tree.read(find), console("pl011"), "{path}");
    }
    tree.unset("/chosen", "stdout-path")
        .set("/chosen", "linux,stdout-path", "serial0");
    assert_eq!(tree.read(find), console("pl011"), "as older trees have it");
}

#[test]
fn is_none_where_nothing_is_named() {
    let mut tree = virt();
    for path in ["/nowhere", "serial1", "", ":115200"] {
        tree.set("/chosen", "stdout-path", path);
        assert_eq!(tree.read(find), Err(Silent::NoNode), "{path:?}");
    }
    tree.unset("/chosen", "stdout-path");
    assert_eq!(tree.read(find), Err(Silent::Unnamed), "no stdout-path");
    tree.remove("/chosen");
    assert_eq!(tree.read(find), Err(Silent::Unnamed), "no /chosen");
}

#[test]
fn is_none_that_is_disabled() {
    let mut tree = virt();
    for (status, expected) in [
        ("okay", console("pl011")),
        ("disabled", Err(Silent::Disabled)),
    ] {
        tree.set(PL011, "status", status);
        assert_eq!(tree.read(find), expected, "{status}");
    }
    let uart = "/soc/serial@40";
    tree.set("/chosen", "stdout-path", uart)
        .set("/soc", "ranges", Vec::new())
        .set("/soc", "#address-cells", 2u32)
        .set("/soc", "#size-cells", 2u32)
        .set("/soc", "status", "disabled")
        .set(uart, "compatible", "arm,pl011")
        .set(uart, "reg", wide(&[0x900_0000, 0x1000]));
    assert_eq!(tree.read(find), Err(Silent::Disabled), "its bus");
    tree.unset("/soc", "status");
    assert_eq!(tree.read(find), console("pl011"));
}

#[test]
fn takes_serial0_where_nothing_else_names_one() {
    let mut tree = two();
    tree.set("/aliases", "serial0", SERIAL1);
    assert_eq!(tree.read(find), on("ns16550a", 0xa00_0000));
    tree.set("/chosen", "stdout-path", "/nowhere");
    assert_eq!(tree.read(find), on("ns16550a", 0xa00_0000));
    tree.set(SERIAL1, "status", "disabled");
    assert_eq!(
        tree.read(find),
        Err(Silent::NoNode),
        "the reason of the first one"
    );
    tree.unset("/chosen", "stdout-path");
    assert_eq!(tree.read(find), Err(Silent::Disabled));
    tree.unset(SERIAL1, "status").set(
        "/serial@a000000/bluetooth",
        "compatible",
        "vendor,bluetooth",
    );
    assert_eq!(tree.read(find), Err(Silent::Occupied));
    tree.set("/chosen", "stdout-path", SERIAL1);
    assert_eq!(
        tree.read(find),
        on("ns16550a", 0xa00_0000),
        "unless it is named"
    );
}

#[test]
fn takes_the_one_of_the_command_line() {
    let mut tree = two();
    let pl011 = console("pl011");
    let serial = on("ns16550a", 0xa00_0000);
    let none = Err(Silent::Unnamed);
    let mut wide_serial = serial.expect("a console");
    let spread = Spread {
        shift: Some(2),
        width: Some(4),
    };
    wide_serial.uart = Uart::find(b"uart8250", spread).expect("a 16550 of words");
    let cases = [
        ("console=ttyAMA0", &pl011),
        ("quiet console=ttyAMA0,115200n8 root=/dev/vda", &pl011),
        ("console=ttyS0 console=tty0", &serial),
        ("console=ttyAMA0 console=ttyS0,115200", &serial),
        ("console=ttyS0 console=ttyAMA0", &pl011),
        ("console=ttyS1", &none),
        ("console=ttyS", &none),
        ("console=ttyS99999999999", &none),
        ("console=hvc0 earlycon console=", &none),
        ("earlycon=pl011,0x9000000", &pl011),
        ("earlycon=pl011,mmio32,0x9000000,115200", &pl011),
        ("console=uart8250,mmio,0xa000000", &serial),
        ("earlycon=pl011,0xa000000", &serial),
        ("earlycon=pl011,0x", &none),
        ("earlycon=pl011,mmio32", &none),
        ("earlycon=nothing,0xb000000", &none),
        ("earlycon=pl011,0xffffffffffffffff", &none),
        ("earlycon=pl011,0x10000000000000000", &none),
    ];
    for (line, expected) in cases {
        let seen = with_line(&mut tree, line);
        assert_eq!(&seen, expected, "{line}");
    }
    tree.remove(SERIAL1);
    let line = "earlycon=uart8250,mmio32,0xa000000,115200n8";
    assert_eq!(
        with_line(&mut tree, line),
        Ok(wide_serial),
        "one that the tree has not"
    );
}

#[test]
fn a_guest_behind_the_monitor_has_the_line_of_both() {
    let mut tree = two();
    tree.set("/chosen", "bootargs", "baton.log=debug console=ttyS0");
    assert_eq!(tree.read(find), on("ns16550a", 0xa00_0000));
    assert_eq!(with_line(&mut tree, "console=ttyAMA0"), console("pl011"));
}

#[test]
fn a_terminal_is_its_alias_of_the_same_kind() {
    let mut tree = two();
    tree.set("/aliases", "serial0", PL011)
        .set("/aliases", "serial2", SERIAL1);
    let serial = on("ns16550a", 0xa00_0000);
    let pl011 = console("pl011");
    for (line, expected) in [
        ("console=ttyS2", &serial),
        ("console=ttyAMA0", &pl011),
        // serial0 is what is left.
        ("console=ttyS0", &pl011),
        ("console=ttyAMA2", &pl011),
    ] {
        let seen = with_line(&mut tree, line);
        assert_eq!(&seen, expected, "{line}");
    }
    tree.set("/chosen", "stdout-path", SERIAL1);
    let seen = with_line(&mut tree, "console=ttyAMA0");
    assert_eq!(seen, serial, "stdout-path goes first");
}

#[test]
fn finds_a_mailbox() {
    let mut tree = virt();
    let hsp = "/hsp@c150000";
    tree.unset(PL011, "reg")
        .set(PL011, "compatible", "nvidia,tegra194-tcu")
        .set(PL011, "mboxes", cells(&[7, 1, 0, 8, 1, 0x8000_0001]));
    tree.set(hsp, "phandle", 8u32)
        .set(hsp, "reg", wide(&[0xc15_0000, 0x9_0000]));
    assert_eq!(tree.read(find), on("nvidia,tegra194-tcu", 0xc16_8000));
    for mailboxes in [
        cells(&[7, 1, 0, 8, 1, 0x8000_0010]),
        cells(&[7, 1, 0, 9, 1, 0x8000_0001]),
        cells(&[7, 1, 0, 8, 1]),
        Vec::new(),
    ] {
        tree.set(PL011, "mboxes", mailboxes.clone());
        assert_eq!(tree.read(find), Err(Silent::Registers), "{mailboxes:x?}");
    }
}

#[test]
fn tells_kinds() {
    for compatible in [
        "arm,pl011",
        "arm,sbsa-uart",
        "ns16550a",
        "brcm,bcm2835-aux-uart",
        "qcom,geni-debug-uart",
    ] {
        let mut tree = virt();
        tree.set(PL011, "compatible", compatible);
        assert_eq!(tree.read(find), console(compatible), "{compatible}");
    }
    let mut tree = virt();
    tree.set(PL011, "compatible", "vendor,uart");
    assert_eq!(tree.read(find), Err(Silent::Unknown));
    tree.set(PL011, "compatible", "arm,primecell");
    assert_eq!(tree.read(find), Err(Silent::Unknown), "any part of Arm's");
    tree.set(PL011, "arm,primecell-periphid", 0x0024_1011u32);
    assert_eq!(tree.read(find), console("pl011"), "by its part number");
    tree.unset(PL011, "compatible")
        .unset(PL011, "arm,primecell-periphid");
    assert_eq!(tree.read(find), Err(Silent::Unknown));
}

#[test]
fn reads_the_order_of_bytes() {
    let mut tree = virt();
    for (compatible, property, expected) in [
        ("fsl,imx8qxp-lpuart", None, Some(false)),
        ("fsl,imx8qxp-lpuart", Some("big-endian"), Some(true)),
        ("fsl,ls1021a-lpuart", None, Some(true)),
        ("fsl,ls1021a-lpuart", Some("little-endian"), Some(false)),
        ("ns16550a", Some("big-endian"), Some(false)),
    ] {
        tree.set(PL011, "compatible", compatible);
        if let Some(property) = property {
            tree.set(PL011, property, Vec::new());
        }
        let seen = tree.read(find).ok();
        let seen = seen.map(|console| console.uart.layout().big_endian);
        assert_eq!(seen, expected, "{compatible}, {property:?}");
        if let Some(property) = property {
            tree.unset(PL011, property);
        }
    }
}

#[test]
fn reads_register_layout() {
    let mut tree = virt();
    tree.set(PL011, "compatible", "ns16550a")
        .set(PL011, "reg-shift", 2u32);
    tree.set(PL011, "reg-io-width", 4u32)
        .set(PL011, "reg-offset", 0x40u32);
    let spread = Spread {
        shift: Some(2),
        width: Some(4),
    };
    let expected = Console {
        uart: Uart::find(b"ns16550a", spread).expect("a 16550"),
        registers: Region::new(0x900_0040, 0xfc0).expect("test region"),
    };
    assert_eq!(tree.read(find), Ok(expected));
    for offset in [0x1000u64, u64::MAX, 0xfff] {
        tree.set(PL011, "reg-offset", wide(&[offset]));
        assert_eq!(
            tree.read(find),
            Err(Silent::Registers),
            "offset {offset:#x} is outside"
        );
    }
    tree.unset(PL011, "reg-offset")
        .set(PL011, "reg-shift", 256u32);
    assert_eq!(tree.read(find), Err(Silent::Unknown), "no such 16550");
}

#[test]
fn goes_through_ranges() {
    let mut tree = virt();
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
    assert_eq!(tree.read(find), console("pl011"), "one empty, one not");
    tree.set(
        "/soc/bus@100",
        "ranges",
        cells(&[0, 1, 1, 0x40, 0x7000_0000, 0x1000]),
    );
    tree.set(uart, "reg", cells(&[0x40, 0x1000]));
    assert_eq!(tree.read(find), console("pl011"), "the second entry of two");

    tree.set(uart, "reg", cells(&[0x41, 0x1000]));
    assert_eq!(tree.read(find), Err(Silent::Registers), "runs over the end");
    tree.set(uart, "reg", cells(&[0x40, 0x1000]))
        .unset("/soc", "ranges");
    assert_eq!(tree.read(find), Err(Silent::Registers), "no ranges");
    tree.set(
        "/soc",
        "ranges",
        cells(&[0x7000_0000, u32::MAX, 0xffff_f800, 0x1000]),
    );
    assert_eq!(tree.read(find), Err(Silent::Registers), "wraps around");
}

#[test]
fn refuses_bad_registers() {
    let mut tree = virt();
    for reg in [
        wide(&[1]),
        Vec::new(),
        wide(&[5, 0]),
        wide(&[u64::MAX, 2]),
        wide(&[0x900_0000, 0x18]),
        wide(&[0x900_0002, 0x1000]),
    ] {
        tree.set(PL011, "reg", reg.clone());
        assert_eq!(tree.read(find), Err(Silent::Registers), "{reg:x?}");
    }
    tree.set("/", "#address-cells", 3u32)
        .set(PL011, "reg", cells(&[1, 2, 3, 4, 5]));
    assert_eq!(
        tree.read(find),
        Err(Silent::Registers),
        "an address of 96 bits"
    );
}
