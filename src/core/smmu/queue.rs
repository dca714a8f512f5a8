// SPDX-License-Identifier: Apache-2.0
//! Queues in memory (3.5), by the register that says where one is.

/// The address in a register that ends in _BASE, and the number of places as a power of two.
const ADDRESS: u64 = 0x000f_ffff_ffff_ffe0;
const SIZE: u64 = 0x1f;

/// A queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Physical address.
    pub base: u64,
    /// How many places it has, as a power of two.
    pub bits: u32,
    /// How many that are.
    places: u32,
    /// Bytes of a place, as a power of two.
    place_bits: u32,
}

impl Queue {
    /// Reads a register that ends in _BASE. It has at most `most` places, each of `place_bits` bytes, both as powers of
    /// two.
    #[inline]
    pub fn new(register: u64, most: u32, place_bits: u32) -> Self {
        let bits = ((register & SIZE) as u32).min(most);
        Self {
            base: register & ADDRESS & (u64::MAX << (bits + place_bits)),
            bits,
            places: 1 << bits,
            place_bits,
        }
    }

    /// Returns how many bytes it has.
    pub fn size(&self) -> u64 {
        1 << (self.bits + self.place_bits)
    }

    /// Returns what is a place of it in a register that ends in _PROD or _CONS: an index, and above that a bit that
    /// changes at each wrap.
    #[inline]
    pub fn mask(&self) -> u32 {
        (self.places << 1).wrapping_sub(1)
    }

    /// Returns how many places lie from one to another; `None` if those are more than it has.
    #[inline]
    pub fn distance(&self, from: u32, to: u32) -> Option<u32> {
        let distance = to.wrapping_sub(from) & self.mask();
        Some(distance).filter(|distance| *distance <= self.places)
    }

    /// Returns the index of a place, and how many places lie from there to another; `None` if those do not follow each
    /// other in memory, or are more than it has.
    #[inline]
    pub fn run(&self, from: u32, to: u32) -> Option<(u32, u32)> {
        let (index, count) = (self.index(from), to.wrapping_sub(from) & self.mask());
        (count <= self.places - index).then_some((index, count))
    }

    /// Returns the index of a place.
    #[inline]
    pub fn index(&self, place: u32) -> u32 {
        place & (self.places - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lies_at_a_multiple_of_its_size_and_has_no_more_places_than_it_may() {
        for (register, most, base, size) in [
            (0x4000_0000 | 8, 10, 0x4000_0000, 0x1000),
            (1 << 62 | 0x4001_3fe0 | 10, 10, 0x4001_0000, 0x4000),
            (u64::MAX, 10, 0x000f_ffff_ffff_c000, 0x4000),
            (0x1000, 10, 0x1000, 16),
        ] {
            let queue = Queue::new(register, most, 4);
            assert_eq!((queue.base, queue.size()), (base, size), "{register:#x}");
        }
    }

    #[test]
    fn places_wrap_around() {
        let queue = Queue::new(2, 10, 4);
        for (from, to, expected) in [
            (0, 0, Some(0)),
            (0, 4, Some(4)),
            (3, 5, Some(2)),
            (7, 1, Some(2)),
            (6, 2, Some(4)),
            (0, 5, None),
            (1, 0, None),
        ] {
            assert_eq!(queue.distance(from, to), expected, "{from} to {to}");
        }
        assert_eq!((queue.mask(), queue.index(5), queue.index(7)), (7, 1, 3));
    }

    #[test]
    fn a_run_ends_where_the_queue_does() {
        let queue = Queue::new(2, 10, 4);
        for (from, to, expected) in [
            (0, 0, Some((0, 0))),
            (0, 4, Some((0, 4))),
            (5, 7, Some((1, 2))),
            (3, 4, Some((3, 1))),
            (3, 5, None),
            (6, 2, None),
            (1, 0, None),
        ] {
            assert_eq!(queue.run(from, to), expected, "{from} to {to}");
        }
    }
}
