// SPDX-License-Identifier: Apache-2.0
//! Ranges of physical addresses, and sets of them.
#![forbid(unsafe_code)]

use alloc::vec::Vec;
use core::fmt::{self, Display, Formatter};
use core::num::NonZero;
use thiserror::Error;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Why a start and a size, or two bounds, make no [`Region`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RegionError {
    /// The region has no bytes.
    #[error("region at {0:#x} is empty")]
    Empty(u64),
    /// The region goes beyond the last 64-bit address.
    #[error("region of {size:#x} bytes at {start:#x} wraps around")]
    Wraps {
        /// First address.
        start: u64,
        /// Size in bytes.
        size: u64,
    },
}

/// Rounds `address` down to a multiple of `align`; `None` if that is not a power of two.
pub const fn align_down(address: u64, align: u64) -> Option<u64> {
    if align.is_power_of_two() {
        Some(address & !(align - 1))
    } else {
        None
    }
}

/// Rounds `address` up to a multiple of `align`; `None` if that is not a power of two, or if the
/// result does not fit in 64 bits.
pub const fn align_up(address: u64, align: u64) -> Option<u64> {
    match align_down(address, align) {
        Some(down) if down == address => Some(down),
        Some(down) => down.checked_add(align),
        None => None,
    }
}

/// A range of physical addresses: at least one byte, and its end fits in 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region {
    start: u64,
    size: NonZero<u64>,
}

impl Region {
    /// Makes a region of `size` bytes from `start` on.
    ///
    /// # Errors
    ///
    /// Returns [`RegionError`] if the region is empty, or wraps around.
    pub const fn new(start: u64, size: u64) -> Result<Self, RegionError> {
        let Some(bytes) = NonZero::new(size) else {
            return Err(RegionError::Empty(start));
        };
        match start.checked_add(size) {
            Some(_) => Ok(Self { start, size: bytes }),
            None => Err(RegionError::Wraps { start, size }),
        }
    }

    /// Makes the region from `start` up to, but not including, `end`.
    ///
    /// # Errors
    ///
    /// Returns [`RegionError::Empty`] if `end` is not above `start`.
    pub const fn from_bounds(start: u64, end: u64) -> Result<Self, RegionError> {
        let Some(size) = end.checked_sub(start) else {
            return Err(RegionError::Empty(start));
        };
        Self::new(start, size)
    }

    /// Returns the first address.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Returns the size in bytes.
    pub const fn size(&self) -> u64 {
        self.size.get()
    }

    /// Returns the first address behind the region.
    pub const fn end(&self) -> u64 {
        self.start + self.size()
    }

    /// Returns whether `address` lies in the region.
    pub const fn contains(&self, address: u64) -> bool {
        self.start <= address && address < self.end()
    }

    /// Returns whether all of `other` lies in the region.
    pub const fn encloses(&self, other: &Self) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }

    /// Returns whether the two have a byte in common.
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end() && other.start < self.end()
    }

    /// Returns the `size` bytes of it from `address` on; `None` if not all of them are its own.
    #[inline]
    pub fn part(&self, address: u64, size: u64) -> Option<Self> {
        let behind = self.size().checked_sub(address.wrapping_sub(self.start))?;
        let part = Self {
            start: address,
            size: NonZero::new(size)?,
        };
        (size <= behind).then_some(part)
    }

    /// Returns what the two have in common.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        Self::from_bounds(self.start.max(other.start), self.end().min(other.end())).ok()
    }

    /// Returns what is left of the region below and above `other`.
    pub fn without(&self, other: &Self) -> [Option<Self>; 2] {
        [
            Self::from_bounds(self.start, self.end().min(other.start)).ok(),
            Self::from_bounds(self.start.max(other.end()), self.end()).ok(),
        ]
    }

    /// Returns whether both ends are multiples of `align`, a power of two.
    pub fn is_aligned(&self, align: u64) -> bool {
        align_down(self.start, align) == Some(self.start)
            && align_down(self.end(), align) == Some(self.end())
    }

    /// Returns the smallest region with ends at multiples of `align` that has this one in it;
    /// `None` if its end does not fit in 64 bits or `align` is not a power of two.
    pub fn align_outward(&self, align: u64) -> Option<Self> {
        Self::from_bounds(align_down(self.start, align)?, align_up(self.end(), align)?).ok()
    }

    /// Returns the largest region with ends at multiples of `align` that lies in this one; `None`
    /// if there is none or `align` is not a power of two.
    pub fn align_inward(&self, align: u64) -> Option<Self> {
        Self::from_bounds(align_up(self.start, align)?, align_down(self.end(), align)?).ok()
    }
}

impl Display for Region {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (size, unit) = match self.size() {
            size if size % MIB == 0 => (size / MIB, "MiB"),
            size if size % KIB == 0 => (size / KIB, "KiB"),
            size => (size, "bytes"),
        };
        write!(f, "{:#x}-{:#x} ({size} {unit})", self.start, self.end())
    }
}

/// A set of addresses, kept as regions that neither overlap nor touch, in ascending order.
///
/// Only changes allocate; looking something up does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionSet {
    regions: Vec<Region>,
}

impl RegionSet {
    /// Makes an empty set.
    pub const fn new() -> Self {
        Self {
            regions: Vec::new(),
        }
    }

    /// Adds a region, merging it with those it overlaps or touches.
    pub fn insert(&mut self, region: Region) {
        let first = self.regions.partition_point(|r| r.end() < region.start);
        let last = self.regions.partition_point(|r| r.start <= region.end());
        let merged = self
            .regions
            .get(first..last)
            .unwrap_or_default()
            .iter()
            .fold(region, |merged, r| {
                let bounds = (merged.start.min(r.start), merged.end().max(r.end()));
                Region::from_bounds(bounds.0, bounds.1).unwrap_or(merged)
            });
        self.regions.splice(first..last.max(first), [merged]);
    }

    /// Removes the addresses of `region`; a region around them is split in two.
    pub fn remove(&mut self, region: &Region) {
        let first = self.regions.partition_point(|r| r.end() <= region.start);
        let last = self.regions.partition_point(|r| r.start < region.end());
        let hit = self.regions.get(first..last).unwrap_or_default();
        let left: [Option<Region>; 2] = [
            hit.first().and_then(|r| r.without(region)[0]),
            hit.last().and_then(|r| r.without(region)[1]),
        ];
        self.regions
            .splice(first..last.max(first), left.into_iter().flatten());
    }

    /// Removes all addresses of another set.
    pub fn remove_all(&mut self, others: &Self) {
        for region in others {
            self.remove(region);
        }
    }

    /// Returns whether all of the `size` bytes from `start` on are in the set; false for no bytes,
    /// and for a range that wraps around.
    pub fn contains(&self, start: u64, size: u64) -> bool {
        Region::new(start, size)
            .is_ok_and(|wanted| self.enclosing(start).is_some_and(|r| r.encloses(&wanted)))
    }

    /// Returns the region of the set that `address` lies in.
    pub fn enclosing(&self, address: u64) -> Option<&Region> {
        let index = self.regions.partition_point(|r| r.end() <= address);
        self.regions.get(index).filter(|r| r.contains(address))
    }

    /// Returns whether any byte of `region` is in the set.
    pub fn overlaps(&self, region: &Region) -> bool {
        let index = self.regions.partition_point(|r| r.end() <= region.start);
        self.regions.get(index).is_some_and(|r| r.overlaps(region))
    }

    /// Returns the highest region of `size` bytes in the set that starts at a multiple of `align`,
    /// a power of two.
    pub fn highest_fit(&self, size: u64, align: u64) -> Option<Region> {
        self.regions.iter().rev().find_map(|r| {
            let start = align_down(r.end().checked_sub(size)?, align)?;
            Region::new(start, size).ok().filter(|fit| r.encloses(fit))
        })
    }

    /// As [`RegionSet::highest_fit`], within `block` bytes at a multiple of as many, also a power of two;
    /// across such blocks only where it fits in none.
    pub fn highest_fit_within(&self, size: u64, align: u64, block: u64) -> Option<Region> {
        let within = |region: &Region| {
            // Below the last boundary, where the end of the region is too close behind it.
            let ends = [region.end(), align_down(region.end() - 1, block)?];
            ends.into_iter().find_map(|end| {
                let start = align_down(end.checked_sub(size)?, align)?;
                let fit = Region::new(start, size).ok()?;
                let in_one = align_down(fit.end() - 1, block)? <= start;
                Some(fit).filter(|fit| in_one && region.encloses(fit))
            })
        };
        let fit = self.regions.iter().rev().find_map(within);
        fit.or_else(|| self.highest_fit(size, align))
    }

    /// As [`RegionSet::highest_fit`], of the regions that end at `end` or below.
    pub fn highest_fit_below(&self, end: u64, size: u64, align: u64) -> Option<Region> {
        self.regions.iter().rev().find_map(|r| {
            let start = align_down(r.end().min(end).checked_sub(size)?, align)?;
            Region::new(start, size).ok().filter(|fit| r.encloses(fit))
        })
    }

    /// Returns the lowest region of `size` bytes in the set that starts at a multiple of `align`,
    /// a power of two, and not below `above`.
    pub fn lowest_fit(&self, size: u64, align: u64, above: u64) -> Option<Region> {
        self.regions.iter().find_map(|r| {
            let start = align_up(r.start.max(above), align)?;
            Region::new(start, size).ok().filter(|fit| r.encloses(fit))
        })
    }

    /// Returns the regions in ascending order.
    pub fn iter(&self) -> core::slice::Iter<'_, Region> {
        self.regions.iter()
    }

    /// Returns the number of regions.
    pub fn len(&self) -> usize {
        self.regions.len()
    }

    /// Returns whether there is no byte in the set.
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }

    /// Returns the number of bytes in the set.
    pub fn total(&self) -> u64 {
        self.regions.iter().map(Region::size).sum()
    }
}

impl<'a> IntoIterator for &'a RegionSet {
    type Item = &'a Region;
    type IntoIter = core::slice::Iter<'a, Region>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Extend<Region> for RegionSet {
    fn extend<T: IntoIterator<Item = Region>>(&mut self, regions: T) {
        regions.into_iter().for_each(|region| self.insert(region));
    }
}

impl FromIterator<Region> for RegionSet {
    fn from_iter<T: IntoIterator<Item = Region>>(regions: T) -> Self {
        let mut set = Self::new();
        set.extend(regions);
        set
    }
}

impl Display for RegionSet {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, region) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{region}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
