// SPDX-License-Identifier: Apache-2.0
//! What a UART has where, and what is done with it.

use crate::memory::region::Region;

/// A register of a UART.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// Bytes from the first register.
    pub offset: u16,
    /// Bytes of an access: 1, 2 or 4.
    pub width: u8,
}

/// How the registers of a UART are reached: on the machine, or in a test.
pub trait Registers {
    /// Reads a register.
    fn read(&mut self, register: Register) -> u32;
    /// Writes a register, with as many bits of `value` as it is wide.
    fn write(&mut self, register: Register, value: u32);
}

/// A change of a register: what enables the transmitter. One that sets nothing is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Bytes from the first register.
    pub offset: u16,
    /// Bits to clear.
    pub clear: u32,
    /// Bits to set.
    pub set: u32,
}

/// A value that is written beside each character. A zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Bytes from the first register.
    pub offset: u16,
    /// What is written.
    pub value: u32,
}

/// What a UART has where. All registers but that of the data are as wide as the status, and lie
/// before the end of status or data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The status.
    pub status: Register,
    /// The bits of the status that count.
    pub mask: u32,
    /// Their value when there is room for a character.
    pub room: u32,
    /// Where a character is written.
    pub data: Register,
    /// Bits that are written with it.
    pub mark: u32,
    /// What enables the transmitter.
    pub enable: [Change; 2],
    /// What is written before each character.
    pub before: [Beside; 2],
    /// What is written after each character.
    pub after: Beside,
    /// The registers are big-endian.
    pub big_endian: bool,
    /// It is a 16550, which a tree can spread.
    pub is_16550: bool,
}

impl Layout {
    /// Says whether all registers are in `region`, each at a multiple of its width: a Device access
    /// that is not aligned faults.
    #[inline(never)]
    pub fn fits(&self, region: &Region) -> bool {
        let wide = self.status.width.max(self.data.width);
        let last = self.status.offset.max(self.data.offset);
        let aligned =
            |register: &Register| register.offset.is_multiple_of(u16::from(register.width));
        region.start().is_multiple_of(wide.into())
            && aligned(&self.status)
            && aligned(&self.data)
            && region.size() >= u64::from(last) + u64::from(wide)
    }

    /// Enables the transmitter.
    pub fn enable(&self, registers: &mut impl Registers) {
        for &Change { offset, clear, set } in &self.enable {
            if set == 0 {
                continue;
            }
            let register = self.beside(offset);
            let value = self.read(registers, register);
            self.write(registers, register, value & !clear | set);
        }
    }

    /// Returns whether there is no room for a character.
    pub fn is_full(&self, registers: &mut impl Registers) -> bool {
        self.read(registers, self.status) & self.mask != self.room
    }

    /// Sends a character, for which there must be room.
    pub fn send(&self, registers: &mut impl Registers, byte: u8) {
        for beside in &self.before {
            self.write_beside(registers, *beside);
        }
        if self.before != [Beside::default(); 2] {
            // What was written has arrived when a read after it returns.
            self.read(registers, self.status);
        }
        self.write(registers, self.data, u32::from(byte) | self.mark);
        self.write_beside(registers, self.after);
    }

    fn write_beside(&self, registers: &mut impl Registers, Beside { offset, value }: Beside) {
        if value != 0 {
            self.write(registers, self.beside(offset), value);
        }
    }

    pub(super) const fn beside(&self, offset: u16) -> Register {
        Register {
            offset,
            width: self.status.width,
        }
    }

    fn read(&self, registers: &mut impl Registers, register: Register) -> u32 {
        self.ordered(registers.read(register))
    }

    fn write(&self, registers: &mut impl Registers, register: Register, value: u32) {
        registers.write(register, self.ordered(value));
    }

    /// A word in the UART's order of bytes; those that are big-endian have words only.
    const fn ordered(&self, value: u32) -> u32 {
        if self.big_endian {
            value.swap_bytes()
        } else {
            value
        }
    }
}
