// SPDX-License-Identifier: Apache-2.0
use super::table::word;
use super::*;
use crate::memory::region::Region;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Registers in plain memory, and what was done to them: `8.4?` is a read of 4 bytes at 8, `8.4=1` a
/// write.
struct Fake {
    memory: [u8; 0x800],
    done: Vec<String>,
}

impl Fake {
    fn new() -> Self {
        Self {
            memory: [0; 0x800],
            done: Vec::new(),
        }
    }

    fn bytes(&mut self, register: Register) -> &mut [u8] {
        let start = usize::from(register.offset);
        &mut self.memory[start..start + usize::from(register.width)]
    }

    fn set(&mut self, register: Register, value: u32) {
        let bytes = value.to_le_bytes();
        let width = usize::from(register.width);
        self.bytes(register).copy_from_slice(&bytes[..width]);
    }

    fn take(&mut self) -> String {
        core::mem::take(&mut self.done).join(" ")
    }
}

impl Registers for Fake {
    fn read(&mut self, register: Register) -> u32 {
        let Register { offset, width } = register;
        self.done.push(format!("{offset:x}.{width}?"));
        let mut value = [0; 4];
        value[..usize::from(width)].copy_from_slice(self.bytes(register));
        u32::from_le_bytes(value)
    }

    fn write(&mut self, register: Register, value: u32) {
        let Register { offset, width } = register;
        let value = value & (u32::MAX >> (32 - 8 * u32::from(width)));
        self.done.push(format!("{offset:x}.{width}={value:x}"));
        self.set(register, value);
    }
}

fn find(name: &str) -> Uart {
    Uart::find(name.as_bytes(), Spread::default()).expect(name)
}

/// What is done to each kind: enable, a look at the status, the letter A; and the values of the status
/// that say "room" and "full".
#[test]
fn each_kind_is_sent_to_as_its_manual_says() {
    let cases = [
        ("arm,pl011", "ttyAMA", "", "18.4?", (0x90, 0x20), "0.4=41"),
        (
            "cdns,uart-r1p12",
            "ttyPS",
            "0.4? 0.4=10",
            "2c.4?",
            (0x8, 0x10),
            "30.4=41",
        ),
        (
            "fsl,imx6q-uart",
            "ttymxc",
            "80.4? 80.4=1 84.4? 84.4=5",
            "b4.4?",
            (0x60, 0x10),
            "40.4=41",
        ),
        (
            "fsl,imx8qxp-lpuart",
            "ttyLP",
            "18.4? 18.4=80000",
            "14.4?",
            (0xc0_0000, 0x40_0000),
            "1c.4=41",
        ),
        (
            "fsl,ls1028a-lpuart",
            "ttyLP",
            "8.4? 8.4=80000",
            "4.4?",
            (0xc0_0000, 0x40_0000),
            "c.4=41",
        ),
        (
            "fsl,ls1021a-lpuart",
            "ttyLP",
            "8.4? 8.4=800",
            "4.4?",
            (0xc000, 0x4000),
            "c.4=41000000",
        ),
        (
            "qcom,geni-debug-uart",
            "ttyMSM",
            "",
            "40.4?",
            (0x1000, 0x1001),
            "270.4=1 600.4=8000000 40.4? 700.4=41",
        ),
        (
            "qcom,msm-uartdm",
            "ttyMSM",
            "",
            "8.4?",
            (0xc, 0x4),
            "10.4=300 40.4=1 8.4? 70.4=41",
        ),
        (
            "amlogic,meson-gx-uart",
            "ttyAML",
            "8.4? 8.4=1000",
            "c.4?",
            (0x40_0000, 0x20_0000),
            "0.4=41",
        ),
        (
            "renesas,scif-r9a07g044",
            "ttySC",
            "",
            "8.2?",
            (0x60, 0x40),
            "6.1=41 8.2=ff9f",
        ),
        (
            "renesas,hscif",
            "ttySC",
            "",
            "10.2?",
            (0x60, 0x40),
            "c.1=41 10.2=ff9f",
        ),
        (
            "marvell,armada-3700-uart",
            "ttyMV",
            "",
            "c.4?",
            (0x20, 0x820),
            "4.4=41",
        ),
        (
            "samsung,exynos850-uart",
            "ttySAC",
            "",
            "10.4?",
            (0x6, 0x2),
            "20.4=41",
        ),
        (
            "nvidia,tegra194-tcu",
            "ttyTCU",
            "",
            "0.4?",
            (0x0100_0041, 0x8100_0041),
            "0.4=81000041",
        ),
        (
            "st,stm32h7-uart",
            "ttySTM",
            "0.4? 0.4=9",
            "1c.4?",
            (0xc0, 0x40),
            "28.4=41",
        ),
        (
            "sprd,sc9836-uart",
            "ttyS",
            "",
            "c.4?",
            (0x7f, 0x100),
            "0.4=41",
        ),
        (
            "actions,owl-uart",
            "ttyOWL",
            "",
            "c.4?",
            (0x20, 0x60),
            "8.4=41",
        ),
        (
            "xlnx,xps-uartlite-1.00.a",
            "ttyUL",
            "",
            "8.4?",
            (0x4, 0xc),
            "4.4=41",
        ),
        (
            "mediatek,mt6577-uart",
            "ttyS",
            "",
            "14.4?",
            (0x60, 0x40),
            "0.4=41",
        ),
        ("ti,am654-uart", "ttyS", "", "14.1?", (0x60, 0x40), "0.1=41"),
        ("ns16550a", "ttyS", "", "5.1?", (0x60, 0x40), "0.1=41"),
    ];
    for (name, tty, enable, look, (room, full), send) in cases {
        let layout = find(name).layout();
        assert_eq!(find(name).tty(), tty.as_bytes(), "{name}");
        let mut fake = Fake::new();
        layout.enable(&mut fake);
        assert_eq!(fake.take(), enable, "{name}: what enables it");
        for (value, is_full) in [(room, false), (full, true)] {
            fake.set(layout.status, value);
            assert_eq!(layout.is_full(&mut fake), is_full, "{name}: {value:#x}");
            assert_eq!(fake.take(), look, "{name}: where the status is");
        }
        layout.send(&mut fake, b'A');
        assert_eq!(fake.take(), send, "{name}: how a character is sent");
    }
    let tried: Vec<_> = cases.iter().map(|case| find(case.0).layout()).collect();
    for (names, layout) in NAMES.lines().zip(&LAYOUTS) {
        assert!(tried.contains(layout), "no case for {names}");
    }
}

#[test]
fn bits_that_are_set_stay_but_those_to_clear() {
    let cases = [
        ("cdns,uart-r1p12", 0, 0x128, 0x118),
        ("fsl,imx6q-uart", 0x84, 0x4026, 0x4027),
        ("amlogic,meson-ao-uart", 8, 0xf000, 0xf000),
    ];
    for (name, offset, before, after) in cases {
        let mut fake = Fake::new();
        let register = word(offset);
        fake.set(register, before);
        find(name).layout().enable(&mut fake);
        assert_eq!(Registers::read(&mut fake, register), after, "{name}");
    }
}

#[test]
fn a_16550_is_spread_as_is_said() {
    let of = |shift, width| Spread {
        shift: Some(shift),
        width: Some(width),
    };
    let layout = |spread| Uart::find(b"vendor,uart\0snps,dw-apb-uart\0", spread).map(Uart::layout);
    for (spread, status) in [
        (of(2, 4), (20, 4)),
        (of(1, 2), (10, 2)),
        (of(8, 1), (1280, 1)),
    ] {
        let seen = layout(spread).map(|layout| (layout.status.offset, layout.status.width));
        assert_eq!(seen, Some(status), "{spread:?}");
    }
    for spread in [of(9, 1), of(255, 1), of(2, 0), of(2, 3), of(2, 8)] {
        assert_eq!(layout(spread), None, "{spread:?}");
    }
    assert_eq!(
        Uart::find(b"mediatek,mt6577-uart\0ns16550a\0", Spread::default())
            .map(|uart| uart.layout().status),
        Some(word(20)),
        "the particular one goes first"
    );
}

#[test]
fn unknown_ones_are_not_found() {
    for name in [
        "",
        "\0",
        "ttyAMA",
        "arm,pl01",
        "arm,pl0111",
        "qcom,geni-uart",
    ] {
        assert_eq!(
            Uart::find(name.as_bytes(), Spread::default()),
            None,
            "{name:?}"
        );
    }
    assert_eq!(Some(Uart::PL011), Uart::find(b"pl011", Spread::default()));
}

#[test]
fn a_register_that_is_not_at_a_multiple_of_its_width_does_not_fit() {
    let spread = |shift| Spread {
        shift: Some(shift),
        width: Some(4),
    };
    let region = Region::new(0x1000, 0x1000).expect("test region");
    for (shift, fits) in [(0, false), (1, false), (2, true)] {
        let uart = Uart::find(b"ns16550a", spread(shift)).expect("a 16550");
        assert_eq!(uart.layout().fits(&region), fits, "shift {shift}");
    }
}

#[test]
fn all_registers_are_seen_to_fit() {
    for layout in &LAYOUTS {
        let ends = |register: Register| u64::from(register.offset) + u64::from(register.width);
        let end = ends(layout.status).max(ends(layout.data));
        let beside = layout.before.iter().chain([&layout.after]);
        let others = beside.map(|beside| beside.offset);
        for offset in others.chain(layout.enable.iter().map(|change| change.offset)) {
            assert!(ends(layout.beside(offset)) <= end, "{layout:?}");
        }
        let region = |start, size| Region::new(start, size).expect("test region");
        assert!(layout.fits(&region(0x1000, end)), "{layout:?}");
        assert!(!layout.fits(&region(0x1000, end - 1)), "{layout:?}");
        assert!(
            !layout.fits(&region(0x1001, 0x1000)) || layout.status.width == 1,
            "{layout:?}"
        );
    }
}
