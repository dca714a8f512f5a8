// SPDX-License-Identifier: Apache-2.0
//! UARTs: how a character is sent by each kind. Firmware has set their speed.

use arm_pl011_uart::{PL011Registers, Uart as Pl011};
use baton_core::devicetree::console::{Console, UartKind};
use core::ptr::NonNull;
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::{ReadWrite, WriteOnly};

/// A UART that the monitor writes to.
pub enum Uart {
    /// Arm's PL011.
    Pl011(Pl011<'static>),
    /// One with registers of a byte.
    Narrow(Pair<u8>),
    /// One with registers of a word.
    Wide(Pair<u32>),
}

/// The two registers that sending takes, and the bits of the status that say whether there is room.
pub struct Pair<T: 'static> {
    status: UniqueMmioPointer<'static, ReadWrite<T>>,
    data: UniqueMmioPointer<'static, WriteOnly<T>>,
    mask: u8,
    room: u8,
}

/// What a kind of UART has where, in bytes from its first register.
struct Layout {
    status: u64,
    data: u64,
    /// Bits of the status that count, and their value when there is room.
    mask: u8,
    room: u8,
    /// The registers that enable the transmitter: where, bits to clear, bits to set.
    enable: &'static [(u64, u32, u32)],
}

/// 16550 (National Semiconductor PC16550D, 8.0): LSR.THRE. It needs no enabling.
const fn ns16550(reg_shift: u32) -> Layout {
    Layout {
        status: 5 << reg_shift,
        data: 0,
        mask: 1 << 5,
        room: 1 << 5,
        enable: &[],
    }
}

/// Cadence (Zynq UltraScale+ TRM, UG1085, "UART"): Channel_sts.TNFULL, Control.TXDIS, TXEN.
const CADENCE: Layout = Layout {
    status: 0x2c,
    data: 0x30,
    mask: 1 << 4,
    room: 0,
    enable: &[(0x00, 1 << 5, 1 << 4)],
};

/// i.MX (i.MX 8M Plus Reference Manual, "UART"): UTS.TXFULL, UCR1.UARTEN, UCR2.TXEN and SRST.
const IMX: Layout = Layout {
    status: 0xb4,
    data: 0x40,
    mask: 1 << 4,
    room: 0,
    enable: &[(0x80, 0, 1), (0x84, 0, 1 << 2 | 1)],
};

impl Uart {
    /// Takes the UART of `console`; `None` if it is one that the monitor does not know, or its
    /// registers do not fit in what the device tree gives it.
    ///
    /// # Safety
    ///
    /// There is one, it is mapped as a device at its own address, and the monitor uses it nowhere
    /// else.
    pub unsafe fn new(console: &Console) -> Option<Self> {
        let (layout, io_width) = match console.kind {
            UartKind::Pl011 => {
                let base = NonNull::new(console.registers.start() as *mut PL011Registers)?;
                // SAFETY: Handed on to the caller.
                return Some(Self::Pl011(Pl011::new(unsafe {
                    UniqueMmioPointer::new(base)
                })));
            }
            UartKind::Ns16550 {
                reg_shift: reg_shift @ 0..=8,
                io_width,
            } => (ns16550(reg_shift), io_width),
            UartKind::Cadence => (CADENCE, 4),
            UartKind::Imx => (IMX, 4),
            _ => return None,
        };
        for &(offset, clear, set) in layout.enable {
            let register = register::<ReadWrite<u32>>(console, offset)?;
            // SAFETY: Handed on to the caller.
            let mut register = unsafe { UniqueMmioPointer::new(register) };
            register.modify(|value| value & !clear | set);
        }
        match io_width {
            // SAFETY: Handed on to the caller.
            1 => Some(Self::Narrow(unsafe { Pair::new(console, &layout)? })),
            // SAFETY: As above.
            4 => Some(Self::Wide(unsafe { Pair::new(console, &layout)? })),
            _ => None,
        }
    }

    /// Returns whether there is no room for a character.
    pub fn is_full(&mut self) -> bool {
        match self {
            Self::Pl011(uart) => uart.is_tx_fifo_full(),
            Self::Narrow(pair) => pair.status.read() & pair.mask != pair.room,
            Self::Wide(pair) => pair.status.read() as u8 & pair.mask != pair.room,
        }
    }

    /// Sends a character, for which there must be room.
    pub fn send(&mut self, byte: u8) {
        match self {
            Self::Pl011(uart) => uart.write_word(byte),
            Self::Narrow(pair) => pair.data.write(byte),
            Self::Wide(pair) => pair.data.write(byte.into()),
        }
    }
}

impl<T: 'static> Pair<T> {
    /// # Safety
    ///
    /// As [`Uart::new`].
    unsafe fn new(console: &Console, layout: &Layout) -> Option<Self> {
        let status = register(console, layout.status)?;
        let data = register(console, layout.data)?;
        // SAFETY: The caller vouches for the registers.
        let (status, data) =
            unsafe { (UniqueMmioPointer::new(status), UniqueMmioPointer::new(data)) };
        Some(Self {
            status,
            data,
            mask: layout.mask,
            room: layout.room,
        })
    }
}

/// Returns where a register is, if the device tree has the UART reach so far.
fn register<T>(console: &Console, offset: u64) -> Option<NonNull<T>> {
    let address = console.registers.start() + offset;
    let fits = console
        .registers
        .contains(address + size_of::<T>() as u64 - 1);
    let pointer = NonNull::new(address as *mut T).filter(|_| fits)?;
    pointer.is_aligned().then_some(pointer)
}

#[cfg(test)]
mod tests;
