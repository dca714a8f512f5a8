// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::arch::fake::mmio::{self, Memory};
use baton_core::memory::region::Region;

/// A UART of `kind` in memory.
fn uart(kind: UartKind, size: u64) -> (Memory, Option<Uart>) {
    mmio::reset();
    let memory = Memory::new(0x1000);
    let console = Console {
        kind,
        registers: Region::new(memory.base() as u64, size).expect("a region"),
        settings: None,
    };
    // SAFETY: It is memory.
    let uart = unsafe { Uart::new(&console) };
    (memory, uart)
}

/// Sends through a UART of `kind`, whose status at `status` says that it is full, and then is `room`.
#[track_caller]
fn sends(kind: UartKind, status: usize, full: u32, room: u32, data: usize) {
    let (memory, uart) = uart(kind, 0x1000);
    let mut uart = uart.expect("it is known");
    // A register of a byte has its place in a word.
    let say = |value| mmio::poke(memory.base() + (status & !3), value << (8 * (status & 3)));
    say(full);
    assert!(uart.is_full());
    say(room);
    assert!(!uart.is_full());
    uart.send(b'x');
    assert_eq!(
        mmio::writes().last(),
        Some(&(memory.base() + data, b'x'.into()))
    );
}

#[test]
fn a_pl011_is_full_by_its_flag() {
    // DDI 0183: UARTFR.TXFF, UARTDR.
    sends(UartKind::Pl011, 0x18, 1 << 5, 0, 0);
}

#[test]
fn a_16550_is_full_unless_thre() {
    for (reg_shift, io_width) in [(0, 1), (2, 4)] {
        let kind = UartKind::Ns16550 {
            reg_shift,
            io_width,
        };
        // LSR is register 5; its lower bits do not count.
        sends(kind, 5 << reg_shift, 1, 1 << 5 | 1, 0);
    }
}

#[test]
fn cadences_and_imx_uarts_are_full_by_their_flags() {
    sends(UartKind::Cadence, 0x2c, 1 << 4, 1 << 3, 0x30);
    sends(UartKind::Imx, 0xb4, 1 << 4, 1 << 6, 0x40);
}

#[test]
fn a_transmitter_is_enabled() {
    let (memory, uart) = uart(UartKind::Imx, 0x1000);
    assert!(uart.is_some());
    // UCR1.UARTEN; UCR2.TXEN, and no reset (SRST).
    memory.expect("UCR1", 0x80..0x84, 1);
    memory.expect("UCR2", 0x84..0x88, 1 << 2 | 1);
}

#[test]
fn a_uart_whose_registers_do_not_fit_is_not_taken() {
    // The status is at 0x2c.
    assert!(uart(UartKind::Cadence, 0x2c).1.is_none());
    let odd = UartKind::Ns16550 {
        reg_shift: 0,
        io_width: 2,
    };
    assert!(uart(odd, 0x1000).1.is_none(), "no such width");
}
