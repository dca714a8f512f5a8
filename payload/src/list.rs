// SPDX-License-Identifier: Apache-2.0
//! A list of bounded length.

/// Up to `N` values.
#[derive(Clone, Copy, Debug)]
pub struct List<T, const N: usize> {
    items: [T; N],
    length: usize,
}

impl<T: Copy + Default, const N: usize> List<T, N> {
    /// An empty list.
    pub fn new() -> Self {
        Self {
            items: [T::default(); N],
            length: 0,
        }
    }

    /// Adds a value; gives it back if the list is full.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        let room = self.items.get_mut(self.length).ok_or(item)?;
        *room = item;
        self.length += 1;
        Ok(())
    }
}

impl<T, const N: usize> core::ops::Deref for List<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.items.get(..self.length).unwrap_or(&[])
    }
}
