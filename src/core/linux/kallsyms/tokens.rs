// SPDX-License-Identifier: Apache-2.0
//! Finds the tokens: 256 strings, each with a zero at its end, of which the names of symbols are
//! made; and their index, where each of them begins. The tokens 0x30 to 0x39 are the ten digits
//! themselves: this is what the search looks for.

use crate::little_endian::{bytes_at, u16_at};
use zerocopy::FromBytes;

/// Tokens 0x30 to 0x39.
const DIGITS: [u8; 20] = *b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\x00";
/// Number of tokens.
const TOKENS: usize = 256;
/// Size of the index in bytes.
const INDEX: usize = 2 * TOKENS;
/// How often the digits may be in an image: once, unless somebody put them there to slow the search
/// down.
const MAX_DIGITS: usize = 64;
/// Wherever the 20 bytes are, a whole aligned word of them is at a multiple of this.
const STRIDE: usize = 16;
/// What the search looks at in one go: the first word of each stride.
type Block = [[u32; STRIDE / 4]; 8];

/// A token table and its index.
#[derive(Clone, Copy)]
pub struct Tokens<'a> {
    table: &'a [u8],
    index: &'a [u8],
    start: usize,
    index_start: usize,
}

impl<'a> Tokens<'a> {
    /// Returns the offset of the tokens from the start of the Image.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Returns the offset of the end of the index from the start of the Image.
    pub fn end(&self) -> usize {
        self.index_start + INDEX
    }

    /// Returns the text of `token`.
    pub fn text(&self, token: u8) -> &'a [u8] {
        let token = usize::from(token);
        let start = u16_at(self.index, 2 * token).map_or(0, usize::from);
        let end = match u16_at(self.index, 2 * token + 2) {
            Some(next) => usize::from(next),
            None => self.table.len(),
        };
        self.table.get(start..end.saturating_sub(1)).unwrap_or(&[])
    }

    /// Returns the tokens around the digits at `digits`, if their index is behind them.
    fn around(image: &'a [u8], digits: usize) -> Option<Self> {
        let mut end = digits + DIGITS.len();
        for _ in usize::from(b'9') + 1..TOKENS {
            // The index has 16 bits, so no token is longer.
            let rest = image.get(end..)?;
            end += rest.iter().take(1 << 16).position(|&byte| byte == 0)? + 1;
            if end - digits > 1 << 16 {
                return None;
            }
        }
        let first = end.next_multiple_of(2);
        (first..=end + 14)
            .step_by(2)
            .find_map(|index| Self::with_index(image, digits, end, index))
    }

    /// Returns the tokens around the digits at `digits` up to `end`, if their index is at `at`.
    fn with_index(image: &'a [u8], digits: usize, end: usize, at: usize) -> Option<Self> {
        let index = image.get(at..at.checked_add(INDEX)?)?;
        let start = digits.checked_sub(usize::from(u16_at(index, 2 * usize::from(b'0'))?))?;
        let table = image.get(start..end)?;
        let mut expected = 0;
        for entry in index.as_chunks::<2>().0 {
            if usize::from(u16::from_le_bytes(*entry)) != expected {
                return None;
            }
            expected += table.get(expected..)?.iter().position(|&byte| byte == 0)? + 1;
        }
        (expected == table.len()).then_some(Self {
            table,
            index,
            start,
            index_start: at,
        })
    }
}

/// Returns the token tables of the image, in the order of their offsets. There should be one.
pub fn candidates(image: &[u8]) -> impl Iterator<Item = Tokens<'_>> {
    // The monitor is built for strict alignment: only an aligned word is one load.
    let skipped = image.as_ptr().align_offset(align_of::<Block>());
    let aligned = image.get(skipped..).unwrap_or(&[]);
    let blocks = <[Block]>::ref_from_prefix(aligned).map_or(&[][..], |(blocks, _)| blocks);
    let mut last = None;
    blocks
        .iter()
        .enumerate()
        .filter(|(_, block)| may_hold_digits(block))
        .flat_map(move |(block, _)| {
            let start = skipped + block * size_of::<Block>();
            (start..start + size_of::<Block>()).step_by(STRIDE)
        })
        .filter_map(|at| match bytes_at(image, at)? {
            [digit @ b'0'..=b'9', 0] => at.checked_sub(2 * usize::from(digit - b'0')),
            [0, digit @ b'1'..=b'9'] => (at + 1).checked_sub(2 * usize::from(digit - b'0')),
            _ => None,
        })
        .filter(|&digits| bytes_at(image, digits) == Some(DIGITS))
        .filter(move |&digits| last.replace(digits) != Some(digits))
        .take(MAX_DIGITS)
        .filter_map(|digits| Tokens::around(image, digits))
}

/// Returns whether one of the words that the search looks at has digits and zeroes in turn. This
/// runs over the whole image, and takes five instructions a word.
#[inline]
fn may_hold_digits(block: &Block) -> bool {
    block.iter().fold(false, |found, [word, ..]| {
        let high = u32::from_le(*word) & 0xf0f0_f0f0;
        found | (high | high.rotate_left(8) == 0x3030_3030)
    })
}
