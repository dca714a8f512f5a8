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
