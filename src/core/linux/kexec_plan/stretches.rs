// SPDX-License-Identifier: Apache-2.0
//! The stretches of a list: sources in a row, from one destination on.

/// How many stretches a plan can have. Linux has one for each segment: 16 at most.
pub const MAX_STRETCHES: usize = 64;

/// Sources that follow each other on the list. The first is copied to `destination`, each other one a
/// page further.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Number of the first source along the list.
    pub source: u64,
    /// How many sources there are.
    pub pages: u64,
    /// Position of the first source, see [`ListPages`](super::list_pages::ListPages).
    pub position: u64,
    /// Physical address that the first source is copied to.
    pub destination: u64,
}

/// The stretches of a list, in its order: they have all its sources.
#[derive(Debug)]
pub struct Stretches {
    table: [Stretch; MAX_STRETCHES],
    count: usize,
}

impl Stretches {
    /// Returns no stretches.
    pub const fn new() -> Self {
        Self {
            table: [Stretch {
                source: 0,
                pages: 0,
                position: 0,
                destination: 0,
            }; MAX_STRETCHES],
            count: 0,
        }
    }

    /// Removes all stretches.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds the next stretch; `None` if there is no room.
    pub fn push(&mut self, stretch: Stretch) -> Option<()> {
        *self.table.get_mut(self.count)? = stretch;
        self.count += 1;
        Some(())
    }

    fn as_slice(&self) -> &[Stretch] {
        self.table.get(..self.count).unwrap_or(&[])
    }

    /// Returns the stretch of source `number` and all behind it.
    pub fn from(&self, number: u64) -> &[Stretch] {
        let stretches = self.as_slice();
        let first = stretches.partition_point(|stretch| stretch.source + stretch.pages <= number);
        stretches.get(first..).unwrap_or(&[])
    }

    /// Returns the position of the source whose destination is `address`. `page` is the page size in bytes.
    pub fn position_for(&self, address: u64, page: u64) -> Option<u64> {
        self.as_slice().iter().find_map(|stretch| {
            let number = address.checked_sub(stretch.destination)? / page;
            (number < stretch.pages).then_some(stretch.position + number)
        })
    }
}
