// SPDX-License-Identifier: Apache-2.0
//! The UARTs that are known, as data: what is where in each, and when there is room for a character.
//!
//! Firmware has set their speed. What is done to them is the same for all; [`Registers`] is how they
//! are reached.
#![forbid(unsafe_code)]

mod layout;
mod table;

pub use layout::{Beside, Change, Layout, Register, Registers};

use crate::words::{has, split};
use table::{LAYOUTS, NAMES, PL011, ns16550};

/// A UART: its row in the table, and what a tree or a command line says beside that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uart {
    row: u8,
    /// Of a 16550.
    shift: u8,
    /// Of a 16550.
    width: u8,
    big_endian: bool,
}

/// Where the registers of a 16550 are, as the tree or a command line may say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Bits by which a register's number is shifted to become its offset in bytes: `reg-shift`.
    pub shift: Option<u64>,
    /// Bytes of an access: `reg-io-width`.
    pub width: Option<u64>,
}

impl Uart {
    /// Arm's PL011.
    pub const PL011: Self = Self {
        row: 0,
        shift: 0,
        width: 0,
        big_endian: false,
    };

    /// Returns the first kind that has one of the names in `called`, with NULs between them: as a
    /// `compatible` has them, or one of `earlycon=`. `None` too if `spread` is none that a 16550 can
    /// have.
    pub fn find(called: &[u8], spread: Spread) -> Option<Self> {
        let mut rows = NAMES.as_bytes();
        for (row, layout) in (0..).zip(&LAYOUTS) {
            let mut names;
            (names, rows) = split(rows, b'\n');
            (_, names) = split(names, b' ');
            while !names.is_empty() {
                let name;
                (name, names) = split(names, b' ');
                if has(called, 0, name) {
                    return Self::of_row(row, layout, spread);
                }
            }
        }
        None
    }

    /// Returns what Linux calls its terminals, without the number.
    pub fn tty(self) -> &'static [u8] {
        let mut rows = NAMES.as_bytes();
        for _ in 0..self.row {
            (_, rows) = split(rows, b'\n');
        }
        split(rows, b' ').0
    }

    /// Returns what it has where.
    #[inline(never)]
    pub fn layout(self) -> Layout {
        let layout = *LAYOUTS.get(usize::from(self.row)).unwrap_or(&PL011);
        if layout.is_16550 {
            ns16550(self.shift, self.width)
        } else {
            Layout {
                big_endian: self.big_endian,
                ..layout
            }
        }
    }

    /// The same in the order of bytes that a tree says, if it says one.
    pub fn with_order(self, big_endian: bool, little_endian: bool) -> Self {
        Self {
            big_endian: big_endian || self.big_endian && !little_endian,
            ..self
        }
    }

    /// The UART of `row`; if it is a 16550, as `spread` says.
    fn of_row(row: u8, layout: &Layout, spread: Spread) -> Option<Self> {
        let mut uart = Self {
            row,
            shift: 0,
            width: 0,
            big_endian: layout.big_endian,
        };
        if layout.is_16550 {
            let own = (layout.status.offset / 5).trailing_zeros();
            let shift = spread.shift.unwrap_or(own.into());
            let width = spread.width.unwrap_or(layout.status.width.into());
            if shift > 8 || !matches!(width, 1 | 2 | 4) {
                return None;
            }
            (uart.shift, uart.width) = (shift as u8, width as u8);
        }
        Some(uart)
    }
}

#[cfg(test)]
mod tests;
