// SPDX-License-Identifier: Apache-2.0
//! A set of addresses of a fixed size: ranges in ascending order that neither overlap nor touch. It
//! never allocates.

/// How many ranges a set can have.
pub const MAX_RANGES: usize = 128;

/// Addresses from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The first address.
    pub start: u64,
    /// The first address behind the range.
    pub end: u64,
}

impl Range {
    /// Returns whether `address` is in the range.
    pub const fn holds(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }
}

/// Why a range was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdded {
    /// A part of it is in the set already.
    Overlap,
    /// The set would have more than [`MAX_RANGES`] ranges.
    Full,
}

/// A set of addresses.
#[derive(Clone, Debug)]
pub struct Ranges {
    ranges: [Range; MAX_RANGES],
    count: usize,
}

impl Default for Ranges {
    fn default() -> Self {
        Self::new()
    }
}

impl Ranges {
    /// Returns an empty set.
    pub const fn new() -> Self {
        Self {
            ranges: [Range { start: 0, end: 0 }; MAX_RANGES],
            count: 0,
        }
    }

    /// Returns the ranges in ascending order.
    pub fn as_slice(&self) -> &[Range] {
        self.ranges.get(..self.count).unwrap_or(&[])
    }

    /// Removes all ranges.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds `new`, none of which may be in the set yet. An empty range changes nothing.
    ///
    /// # Errors
    ///
    /// Returns [`NotAdded`], and the set stays as it is.
    pub fn add(&mut self, new: Range) -> Result<(), NotAdded> {
        if new.start >= new.end {
            return Ok(());
        }
        let at = self
            .as_slice()
            .partition_point(|range| range.end <= new.start);
        if self
            .as_slice()
            .get(at)
            .is_some_and(|range| range.start < new.end)
        {
            return Err(NotAdded::Overlap);
        }
        let mut new = new;
        // What it touches becomes part of it: the ranges from `first` to `behind`.
        let (mut first, mut behind) = (at, at);
        if let Some(below) = at.checked_sub(1)
            && let Some(range) = self.as_slice().get(below)
            && range.end == new.start
        {
            (new.start, first) = (range.start, below);
        }
        if let Some(range) = self.as_slice().get(at)
            && range.start == new.end
        {
            (new.end, behind) = (range.end, at + 1);
        }
        match behind - first {
            0 => {
                let moved = self
                    .ranges
                    .get_mut(first..=self.count)
                    .ok_or(NotAdded::Full)?;
                moved.rotate_right(1);
                self.count += 1;
            }
            1 => {}
            _ => {
                if let Some(moved) = self.ranges.get_mut(first..self.count) {
                    moved.rotate_left(1);
                    self.count -= 1;
                }
            }
        }
        if let Some(slot) = self.ranges.get_mut(first) {
            *slot = new;
        }
        Ok(())
    }

    /// Returns the widest range around `address` that is all in the set or all outside it, and
    /// whether it is in the set.
    pub fn around(&self, address: u64) -> (Range, bool) {
        let ranges = self.as_slice();
        let at = ranges.partition_point(|range| range.end <= address);
        let next = ranges.get(at);
        if let Some(range) = next
            && range.start <= address
        {
            return (*range, true);
        }
        let start = at
            .checked_sub(1)
            .and_then(|below| ranges.get(below))
            .map_or(0, |range| range.end);
        (
            Range {
                start,
                end: next.map_or(u64::MAX, |range| range.start),
            },
            false,
        )
    }

    /// Returns whether `address` is in the set.
    pub fn hold(&self, address: u64) -> bool {
        self.around(address).1
    }
}

/// A lookup that remembers the range around the last address: the next one is mostly in it too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around {
    range: Range,
    inside: bool,
}

impl Around {
    /// Returns whether `address` is in `set`, which must be the same at every call.
    #[inline]
    pub fn is_in(&mut self, set: &Ranges, address: u64) -> bool {
        if !self.range.holds(address) {
            (self.range, self.inside) = set.around(address);
        }
        self.inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(added: &[(u64, u64)]) -> Ranges {
        let mut set = Ranges::new();
        for &(start, end) in added {
            set.add(Range { start, end }).unwrap();
        }
        set
    }

    fn pairs(set: &Ranges) -> Vec<(u64, u64)> {
        set.as_slice()
            .iter()
            .map(|range| (range.start, range.end))
            .collect()
    }

    #[test]
    fn sorts_and_joins() {
        assert_eq!(
            pairs(&set(&[(4, 6), (0, 2), (8, 9)])),
            [(0, 2), (4, 6), (8, 9)]
        );
        assert_eq!(pairs(&set(&[(4, 6), (0, 2), (2, 4)])), [(0, 6)]);
        assert_eq!(
            pairs(&set(&[(4, 6), (6, 8), (2, 4), (10, 11)])),
            [(2, 8), (10, 11)]
        );
        assert_eq!(pairs(&set(&[(3, 3)])), []);
    }

    #[test]
    fn refuses_overlaps() {
        for (start, end) in [(0, 3), (2, 3), (3, 9), (5, 6), (1, 9), (3, 4)] {
            let mut set = set(&[(2, 4), (5, 7)]);
            assert_eq!(
                set.add(Range { start, end }),
                Err(NotAdded::Overlap),
                "{start}..{end}"
            );
            assert_eq!(pairs(&set), [(2, 4), (5, 7)]);
        }
    }

    #[test]
    fn is_full_at_its_limit() {
        let mut set = Ranges::new();
        for at in (1..=MAX_RANGES as u64).rev() {
            set.add(Range {
                start: 10 * at,
                end: 10 * at + 5,
            })
            .unwrap();
        }
        for start in [0, 17, 10_000] {
            assert_eq!(
                set.add(Range {
                    start,
                    end: start + 2
                }),
                Err(NotAdded::Full),
                "{start}"
            );
        }
        set.add(Range { start: 15, end: 20 }).unwrap();
        assert_eq!(set.as_slice().len(), MAX_RANGES - 1);
        set.add(Range { start: 0, end: 2 }).unwrap();
        set.add(Range { start: 8, end: 10 }).unwrap();
        assert_eq!(
            set.as_slice().get(..2),
            Some(&[Range { start: 0, end: 2 }, Range { start: 8, end: 25 }][..])
        );
        assert!(set.as_slice().is_sorted_by(|a, b| a.end < b.start));
    }

    #[test]
    fn tells_inside_from_outside() {
        let set = set(&[(2, 4), (6, 8)]);
        assert_eq!(set.around(0), (Range { start: 0, end: 2 }, false));
        assert_eq!(set.around(3), (Range { start: 2, end: 4 }, true));
        assert_eq!(set.around(4), (Range { start: 4, end: 6 }, false));
        assert_eq!(
            set.around(9),
            (
                Range {
                    start: 8,
                    end: u64::MAX
                },
                false
            )
        );
        assert_eq!(
            Ranges::new().around(7),
            (
                Range {
                    start: 0,
                    end: u64::MAX
                },
                false
            )
        );
    }
}
