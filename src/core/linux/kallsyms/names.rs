// SPDX-License-Identifier: Apache-2.0
//! Finds the names: for each symbol its number of tokens, and the tokens; and the markers, the
//! offset of every 256th name. Both are before the tokens, the names first.

use super::{Fuel, KallsymsError};
use crate::little_endian::u32_at;

/// How many names there are from one marker to the next.
const GROUP: usize = 256;
/// The size of so many names in bytes: at least a length and a token each.
const GROUP_SIZE: core::ops::RangeInclusive<u32> = 512..=131_072;
/// How far before the tokens the markers may begin, in bytes.
const MARKERS_REACH: usize = 24 << 20;
/// How many markers there must be: fewer may be something else.
const MIN_MARKERS: usize = 7;

/// All names of a kernel.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// From the first record to the markers.
    bytes: &'a [u8],
    start: usize,
    count: usize,
    packed: bool,
}

impl<'a> Names<'a> {
    /// Returns the number of symbols; at least 1.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the offset of the names from the start of the Image.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Returns whether the number of symbols is right before the names, not aligned to 8 bytes:
    /// from 7.0 on.
    pub fn packed(&self) -> bool {
        self.packed
    }

    /// Returns the tokens of each symbol, in order.
    pub fn records(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.bytes;
        (0..self.count).map_while(move |_| {
            let (record, behind) = split_record(rest)?;
            rest = behind;
            Some(record)
        })
    }
}

/// Splits `bytes` into the tokens of the first name, and what is behind it.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    if length & 0x80 == 0 {
        return rest.split_at_checked(usize::from(length));
    }
    let (&high, rest) = rest.split_first()?;
    rest.split_at_checked(usize::from(length & 0x7f) | usize::from(high) << 7)
}

/// Finds the names before the tokens at `tokens`.
pub fn find<'a>(
    image: &'a [u8],
    tokens: usize,
    fuel: &mut Fuel,
) -> Result<Names<'a>, KallsymsError> {
    let top = tokens / 4;
    let words = image.as_chunks::<4>().0.get(..top).unwrap_or(&[]);
    let bottom = top.saturating_sub(MARKERS_REACH / 4);
    let mut above = 0;
    for at in (bottom..words.len()).rev() {
        let Some((&word, markers)) = words.get(at..).and_then(|rest| rest.split_first()) else {
            break;
        };
        let second = above;
        above = u32::from_le_bytes(word);
        // The first marker is 0, and the second one a group away.
        if above != 0 || !GROUP_SIZE.contains(&second) {
            continue;
        }
        let mut last = 0;
        let behind = markers.iter().take_while(|&&marker| {
            let gap = u32::from_le_bytes(marker).wrapping_sub(last);
            last = u32::from_le_bytes(marker);
            GROUP_SIZE.contains(&gap)
        });
        let count = behind.count() + 1;
        fuel.burn(count)?;
        // The word behind the last marker may look like one more.
        for count in [count, count - 1] {
            if count >= MIN_MARKERS
                && let Some(markers) = words.get(at..at + count)
                && let Some(names) = before(image, 4 * at, markers, fuel)?
            {
                return Ok(names);
            }
        }
    }
    fuel.burn(words.len() - bottom.min(words.len()))?;
    Err(KallsymsError::NoNames(tokens))
}

/// Returns the names that end at `end`, where these markers, which belong to them, begin.
fn before<'a>(
    image: &'a [u8],
    end: usize,
    markers: &[[u8; 4]],
    fuel: &mut Fuel,
) -> Result<Option<Names<'a>>, KallsymsError> {
    let Some(last) = markers
        .last()
        .map(|&last| u32::from_le_bytes(last) as usize)
    else {
        return Ok(None);
    };
    let Some(top) = end.checked_sub(last) else {
        return Ok(None);
    };
    let bottom = top.saturating_sub(*GROUP_SIZE.end() as usize).max(8);
    // The last group is between the place of the last marker and the markers.
    for start in (bottom..=top & !3).rev().step_by(4) {
        fuel.burn(1)?;
        let (Some(far), Some(near)) = (u32_at(image, start - 8), u32_at(image, start - 4)) else {
            break;
        };
        let (count, packed) = if near == 0 {
            (far as usize, false)
        } else {
            (near as usize, true)
        };
        if count.div_ceil(GROUP) != markers.len() {
            continue;
        }
        let Some(bytes) = image.get(start..end) else {
            continue;
        };
        if walk(bytes, count, markers, fuel)? {
            return Ok(Some(Names {
                bytes,
                start,
                count,
                packed,
            }));
        }
    }
    Ok(None)
}

/// Returns whether `bytes` are `count` names with these markers, and less than 8 zeroes.
fn walk(
    bytes: &[u8],
    count: usize,
    markers: &[[u8; 4]],
    fuel: &mut Fuel,
) -> Result<bool, KallsymsError> {
    let mut rest = bytes;
    let mut left = count;
    for &marker in markers {
        if bytes.len() - rest.len() != u32::from_le_bytes(marker) as usize {
            return Ok(false);
        }
        let group = left.min(GROUP);
        fuel.burn(group)?;
        for _ in 0..group {
            match split_record(rest) {
                Some(([_, ..], behind)) => rest = behind,
                _ => return Ok(false),
            }
        }
        left -= group;
    }
    Ok(left == 0 && rest.len() < 8 && rest.iter().all(|&byte| byte == 0))
}
