// SPDX-License-Identifier: Apache-2.0
//! Reads an input from its front. Behind its end there are zeroes.

/// The rest of an input.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Returns an input that is all of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns everything that is left, without taking it.
    pub const fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Takes the next bytes: `count` of them, or as many as are left.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Takes the next byte.
    pub fn u8(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// Takes a number of `size` bytes, the lowest first.
    pub fn number(&mut self, size: usize) -> u64 {
        let bytes = self.bytes(size);
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Takes a byte, and returns the one of `choices` that it stands for.
    pub fn choice<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.u8()) % choices.len()]
    }

    /// Takes a number that is small, near a power of two, or any at all.
    pub fn edge(&mut self) -> u64 {
        let kind = self.u8();
        let exponent = self.u8();
        let power = 1u64 << (exponent & 63);
        match kind {
            0 => u64::from(exponent),
            1 => power,
            2 => power.wrapping_sub(1),
            3 => power.wrapping_neg(),
            4 => self.number(4),
            5 => self.number(4).wrapping_neg(),
            6 => self.number(8),
            _ => u64::from(kind) << (exponent & 63),
        }
    }
}
