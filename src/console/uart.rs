// SPDX-License-Identifier: Apache-2.0
//! A UART that the monitor writes to; which registers that takes is a row of [`baton_core::uart`].

use baton_core::devicetree::console::Console;
use baton_core::uart::{Layout, Register, Registers};
use core::ptr::NonNull;
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadWrite;

/// A UART, and where it is.
pub struct Uart {
    layout: Layout,
    mapped: Mapped,
}

/// Registers that begin at an address.
struct Mapped(NonNull<u8>);

// SAFETY: The registers are the same from every CPU, and are used by one at a time: `&mut`.
unsafe impl Send for Uart {}

impl Uart {
    /// Takes the UART of `console`, and enables it; `None` if its registers are not all in what the
    /// device tree gives it.
    ///
    /// # Safety
    ///
    /// There is one, it is mapped as a device at its own address, and the monitor uses it nowhere
    /// else.
    pub unsafe fn new(console: &Console) -> Option<Self> {
        let layout = console.uart.layout();
        if !layout.fits(&console.registers) {
            return None;
        }
        let mut mapped = Mapped(NonNull::new(console.registers.start() as *mut u8)?);
        layout.enable(&mut mapped);
        Some(Self { layout, mapped })
    }

    /// Returns whether there is no room for a character.
    #[inline(never)]
    pub fn is_full(&mut self) -> bool {
        self.layout.is_full(&mut self.mapped)
    }

    /// Sends a character, for which there must be room.
    #[inline(never)]
    pub fn send(&mut self, byte: u8) {
        self.layout.send(&mut self.mapped, byte);
    }
}

impl Mapped {
    fn at<T>(&mut self, register: Register) -> UniqueMmioPointer<'_, ReadWrite<T>> {
        // SAFETY: `Uart::new` was vouched for the registers, and checked that this one is in them and
        // aligned; the borrow is the only one.
        unsafe { UniqueMmioPointer::new(self.0.byte_add(register.offset.into()).cast()) }
    }
}

// Not inlined: they are many at each place.
impl Registers for Mapped {
    #[inline(never)]
    fn read(&mut self, register: Register) -> u32 {
        match register.width {
            1 => self.at::<u8>(register).read().into(),
            2 => self.at::<u16>(register).read().into(),
            _ => self.at(register).read(),
        }
    }

    #[inline(never)]
    fn write(&mut self, register: Register, value: u32) {
        match register.width {
            1 => self.at(register).write(value as u8),
            2 => self.at(register).write(value as u16),
            _ => self.at(register).write(value),
        }
    }
}
