// SPDX-License-Identifier: Apache-2.0
//! Finds the offsets: a number of 32 bits for each symbol, in ascending order.

use super::names::Names;
use super::{Fuel, KallsymsError};

/// The offsets of all symbols.
#[derive(Clone, Copy)]
pub struct Offsets<'a> {
    table: &'a [[u8; 4]],
    /// Where the table begins, if each offset counts from its own place, as from 7.0 on.
    place: Option<usize>,
}

impl<'a> Offsets<'a> {
    /// Returns the table of `count` offsets at `start`, if they ascend and span no more than
    /// symbols of this image can.
    fn at(image: &'a [u8], start: usize, count: usize, relative: bool) -> Option<Self> {
        let table = image.get(start..)?.as_chunks::<4>().0.get(..count)?;
        let offsets = Self {
            table,
            place: relative.then_some(start),
        };
        let span = offsets.get(count - 1)?.checked_sub(offsets.get(0)?)?;
        // Memory full of zeroes ascends too. From 6.19 to 7.1 the strings of `.modinfo` are symbols
        // as well, and lie a little behind the Image.
        if span < count as i64 || span > 2 * image.len() as i64 {
            return None;
        }
        offsets.iter().is_sorted().then_some(offsets)
    }

    /// Returns offset `number`, in bytes from a base that is the same for all.
    pub fn get(&self, number: usize) -> Option<i64> {
        let raw = *self.table.get(number)?;
        Some(match self.place {
            Some(start) => (start + 4 * number) as i64 + i64::from(i32::from_le_bytes(raw)),
            None => i64::from(u32::from_le_bytes(raw)),
        })
    }

    fn iter(&self) -> impl Iterator<Item = i64> {
        (0..self.table.len()).filter_map(|number| self.get(number))
    }
}

/// Finds the offsets that belong to `names`. `index_end` is where the index of the tokens ends.
pub fn find<'a>(
    image: &'a [u8],
    names: &Names<'_>,
    index_end: usize,
    fuel: &mut Fuel,
) -> Result<Offsets<'a>, KallsymsError> {
    let count = names.count();
    fuel.burn(2 * count)?;
    let found = if names.packed() {
        Offsets::at(image, index_end.next_multiple_of(4), count, true)
    } else {
        // 6.4 to 6.19 have them behind the index; before that they ended at the base, which is
        // followed by the number of symbols and the names, all at multiples of 8 bytes.
        Offsets::at(image, index_end.next_multiple_of(8), count, false).or_else(|| {
            let end = names.start().checked_sub(16)?;
            Offsets::at(
                image,
                end.checked_sub((4 * count).next_multiple_of(8))?,
                count,
                false,
            )
        })
    };
    found.ok_or(KallsymsError::NoOffsets {
        names: names.start(),
        symbols: count,
    })
}
