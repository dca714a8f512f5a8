// SPDX-License-Identifier: Apache-2.0
//! A table of bounded size for things that are numbered, of which it keeps some.

/// The things of every number that is a multiple of `1 << spacing`.
#[derive(Debug)]
pub struct Spaced<T, const N: usize> {
    kept: [T; N],
    spacing: u32,
}

impl<T: Copy, const N: usize> Spaced<T, N> {
    /// Returns a table that keeps nothing yet; it is filled with `none`.
    pub const fn new(none: T) -> Self {
        Self {
            kept: [none; N],
            spacing: 0,
        }
    }

    /// Keeps `thing`, if `number` is a multiple of the spacing; if there is no room, that is doubled. To be
    /// called for each number, from 0 on.
    pub fn keep(&mut self, number: u64, thing: T) {
        if number == 0 {
            self.spacing = 0;
        }
        if number & ((1 << self.spacing) - 1) != 0 {
            return;
        }
        if number >> self.spacing == N as u64 {
            for kept in 1..N / 2 {
                self.kept.copy_within(2 * kept..2 * kept + 1, kept);
            }
            self.spacing += 1;
        }
        let slot = usize::try_from(number >> self.spacing).ok();
        if let Some(kept) = slot.and_then(|slot| self.kept.get_mut(slot)) {
            *kept = thing;
        }
    }

    /// Returns what is kept at or before `number`, and its number.
    pub fn before(&self, number: u64) -> Option<(T, u64)> {
        let slot = number >> self.spacing;
        let thing = self.kept.get(usize::try_from(slot).ok()?)?;
        Some((*thing, slot << self.spacing))
    }
}
