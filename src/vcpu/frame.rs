// SPDX-License-Identifier: Apache-2.0
//! The guest's registers, as `vectors.S` saves them.

/// SPSR of EL1 with its own stack pointer, D, A, I and F masked.
pub const EL1H_MASKED: u64 = 0x3c5;

/// SPSR.SS: software step is active, and has not stepped the next instruction yet.
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

    /// Makes the guest go on after the instruction that trapped: the monitor has handled it.
    pub fn skip(&mut self) {
        self.elr += 4;
        // A software step of it is complete.
        self.spsr &= !SPSR_SS;
    }

    /// Makes the guest execute the HVC or SMC again that it has just executed: nobody has answered it.
    pub fn repeat_call(&mut self) {
        self.elr = self.elr.wrapping_sub(4);
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
    fn a_call_is_repeated_with_the_same_registers() {
        let mut frame = Frame::beginning_at(0x4000_0004, 7);
        frame.repeat_call();
        assert_eq!((frame.elr, frame.x[0]), (0x4000_0000, 7));
    }

    #[test]
    fn registers_lie_in_pairs() {
        // `vectors.S` stores two at a time, and keeps SP aligned to 16.
        assert_eq!(size_of::<Frame>() % 16, 0);
        assert_eq!(offset_of!(Frame, elr), 31 * 8);
        assert_eq!(offset_of!(Frame, spsr), 32 * 8);
    }
}
