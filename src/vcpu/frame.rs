// SPDX-License-Identifier: Apache-2.0
//! What `vectors.S` saves of a guest.

/// SPSR of EL1 with its own stack pointer, D, A, I and F masked.
pub const EL1H_MASKED: u64 = 0x3c5;

/// SPSR.SS: the instruction is yet to be stepped.
const SPSR_SS: u64 = 1 << 21;

/// The guest's general registers, and where it goes on.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct Frame {
    /// x0 to x30.
    pub x: [u64; 31],
    /// ELR_EL2.
    pub elr: u64,
    /// SPSR_EL2.
    pub spsr: u64,
}

impl Frame {
    /// Returns the frame of a CPU that begins in the guest at `entry`, at EL1 with all interrupts
    /// masked, with `x0` in x0 and zero in all other registers.
    pub const fn beginning_at(entry: u64, x0: u64) -> Self {
        let mut x = [0; 31];
        x[0] = x0;
        Self {
            x,
            elr: entry,
            spsr: EL1H_MASKED,
        }
    }

    /// Goes on behind the instruction that trapped: it has been seen to.
    pub fn skip(&mut self) {
        self.elr += 4;
        // A single step ends with it.
        self.spsr &= !SPSR_SS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn a_cpu_begins_with_its_context_and_nothing_else() {
        let frame = Frame::beginning_at(0x4000_0000, 7);
        assert_eq!(frame.x[0], 7);
        assert_eq!(frame.x[1..], [0; 30]);
        assert_eq!(frame.elr, 0x4000_0000);
        // M: EL1h; D, A, I and F masked (Arm ARM, C5.2.19).
        assert_eq!(frame.spsr, 0b0101 | 0xf << 6);
    }

    #[test]
    fn what_is_skipped_is_stepped_too() {
        let mut frame = Frame::beginning_at(0x4000_0000, 0);
        frame.spsr |= 1 << 21;
        frame.skip();
        assert_eq!(frame.elr, 0x4000_0004);
        assert_eq!(frame.spsr, EL1H_MASKED, "SPSR.SS is clear");
    }

    #[test]
    fn registers_lie_in_pairs() {
        // `vectors.S` stores two at a time, and keeps SP aligned to 16.
        assert_eq!(size_of::<Frame>() % 16, 0);
        assert_eq!(offset_of!(Frame, elr), 31 * 8);
        assert_eq!(offset_of!(Frame, spsr), 32 * 8);
    }
}
