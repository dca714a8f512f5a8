//! What `vectors.S` saves of a guest.

/// SPSR of EL1 with its own stack pointer, D, A, I and F masked.
pub const EL1H_MASKED: u64 = 0x3c5;

/// SPSR.SS: the instruction is yet to be stepped.
const SPSR_SS: u64 = 1 << 21;

/// The guest's general registers, and where it goes on.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Frame {
    /// x0 to x30.
    pub x: [u64; 31],
    /// ELR_EL2.
    pub elr: u64,
    /// SPSR_EL2.
    pub spsr: u64,
}

impl Frame {
    /// Goes on behind the instruction that trapped: it has been seen to.
    pub fn skip(&mut self) {
        self.elr += 4;
        // A single step ends with it.
        self.spsr &= !SPSR_SS;
    }
}

// `vectors.S` writes it register by register.
const _: () = assert!(size_of::<Frame>() == 33 * 8);
