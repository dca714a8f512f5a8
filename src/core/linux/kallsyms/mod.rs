// SPDX-License-Identifier: Apache-2.0
//! Finds the symbols of a kernel in memory.
//!
//! Linux has all its symbols in memory, for its own backtraces: tables without a header, which
//! `scripts/kallsyms.c` writes into the kernel's read-only data. They are found by their shape,
//! each with the help of the one before: tokens, names, offsets, and last what the offsets count
//! from (calibration). Three layouts are known: of 5.10 to 6.3, of 6.4 to 6.19, and from 7.0 on.

mod calibration;
mod names;
mod offsets;
#[cfg(any(test, fuzzing))]
pub mod synthetic;
#[cfg(test)]
mod tests;
mod tokens;

use names::Names;
use offsets::Offsets;
use thiserror::Error;
use tokens::Tokens;

/// How many steps a search may take; a real kernel needs about a million.
const FUEL: usize = 1 << 26;

/// Why the symbols of a kernel were not found. Offsets are in bytes from the start of the Image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KallsymsError {
    /// There is no token table with its index.
    #[error("no kallsyms tokens")]
    NoTokens,
    /// There is a token table, but no names with their markers before it.
    #[error("no kallsyms names before the tokens at {0:#x}")]
    NoNames(usize),
    /// There are names, but no ascending offsets for them.
    #[error("no kallsyms offsets for the {symbols} names at {names:#x}")]
    NoOffsets {
        /// Where the names are.
        names: usize,
        /// How many there are.
        symbols: usize,
    },
    /// There are offsets, but what they count from is not certain.
    #[error("the base of the kallsyms offsets is not certain")]
    NoBase,
    /// So much of the Image looks like a table that the search would take too long.
    #[error("the search for kallsyms takes too long")]
    TooLong,
}

/// Marks a token that is the type of a text symbol and nothing else.
const BARE: u16 = 0x8000;

/// How many steps a search may still take.
struct Fuel(usize);

impl Fuel {
    /// Takes `steps` of them.
    fn burn(&mut self, steps: usize) -> Result<(), KallsymsError> {
        self.0 = self.0.checked_sub(steps).ok_or(KallsymsError::TooLong)?;
        Ok(())
    }
}

/// The text symbols that have one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// How many there are.
    pub count: usize,
    /// The number of the last of them, for [`Symbols::offset`].
    pub last: usize,
}

/// The symbols of a kernel.
pub struct Symbols<'a> {
    tokens: Tokens<'a>,
    names: Names<'a>,
    offsets: Offsets<'a>,
    /// What to subtract from an offset of the table to get one from the start of the Image.
    delta: i64,
}

impl<'a> Symbols<'a> {
    /// Finds the tables in `image`, the kernel in memory from its header to its end (`image_size`
    /// bytes).
    ///
    /// # Errors
    ///
    /// Returns [`KallsymsError`]: which table was not found.
    pub fn find(image: &'a [u8]) -> Result<Self, KallsymsError> {
        let mut fuel = Fuel(FUEL);
        let mut error = KallsymsError::NoTokens;
        for tokens in tokens::candidates(image) {
            match Self::with_tokens(image, tokens, &mut fuel) {
                Ok(symbols) => return Ok(symbols),
                Err(KallsymsError::TooLong) => return Err(KallsymsError::TooLong),
                Err(reason) => error = reason,
            }
        }
        Err(error)
    }

    fn with_tokens(
        image: &'a [u8],
        tokens: Tokens<'a>,
        fuel: &mut Fuel,
    ) -> Result<Self, KallsymsError> {
        let names = names::find(image, tokens.start(), fuel)?;
        let offsets = offsets::find(image, &names, tokens.end(), fuel)?;
        let mut symbols = Self {
            tokens,
            names,
            offsets,
            delta: 0,
        };
        symbols.delta = calibration::delta(image, &symbols).ok_or(KallsymsError::NoBase)?;
        match symbols.offset(0) {
            Some(first) if first < image.len() as u64 => Ok(symbols),
            _ => Err(KallsymsError::NoBase),
        }
    }

    /// Returns how many symbols there are; at least one.
    pub fn count(&self) -> usize {
        self.names.count()
    }

    /// Returns where the names begin, in bytes from the start of the Image: in its read-only data, behind the
    /// code.
    pub fn start(&self) -> usize {
        self.names.start()
    }

    /// Returns the offset of symbol `number` from the start of the Image, in bytes. Offsets ascend
    /// with the number; the last ones may be behind the Image.
    pub fn offset(&self, number: usize) -> Option<u64> {
        u64::try_from(self.offsets.get(number)?.checked_sub(self.delta)?).ok()
    }

    /// Returns the offset of the first symbol behind symbol `number`, not at the same place.
    pub fn next_offset(&self, number: usize) -> Option<u64> {
        let own = self.offset(number)?;
        (number + 1..self.count())
            .map_while(|next| self.offset(next))
            .find(|&offset| offset > own)
    }

    /// Finds the text symbols (types `t`, `T`, and the weak `w`, `W`) of these names, all in one
    /// pass.
    pub fn text<const N: usize>(&self, wanted: [&str; N]) -> [Matches; N] {
        const { assert!(N < 16, "a bit of a word for each name, and one for BARE") }
        let beginning = |start: &[u8]| {
            let bits = wanted.iter().enumerate();
            bits.fold(0u16, |bits, (bit, name)| {
                bits | u16::from(name.as_bytes().starts_with(start)) << bit
            })
        };
        // Which of the names a symbol can have by its first token, which begins with its type, and
        // by its second one if the first is the type alone. Nearly all symbols can have none.
        let mut first = [0u16; 256];
        let mut second = [0u16; 256];
        for ((token, first), second) in (0..=255).zip(&mut first).zip(&mut second) {
            let text = self.tokens.text(token);
            *second = beginning(text);
            if let Some((&kind, start)) = text.split_first()
                && is_text(kind)
            {
                *first = if start.is_empty() {
                    BARE
                } else {
                    beginning(start)
                };
            }
        }
        let by = |table: &[u16; 256], token: Option<&u8>| {
            token
                .and_then(|&token| table.get(usize::from(token)))
                .copied()
                .unwrap_or(0)
        };
        let mut matches = [Matches::default(); N];
        for (number, record) in self.names.records().enumerate() {
            let possible = match by(&first, record.first()) {
                BARE => by(&second, record.get(1)),
                names => names,
            };
            if possible == 0 {
                continue;
            }
            for (bit, (name, matches)) in wanted.iter().zip(&mut matches).enumerate() {
                if possible >> bit & 1 != 0 && self.is_named(record, name) {
                    matches.count += 1;
                    matches.last = number;
                }
            }
        }
        matches
    }

    /// Returns whether the symbol's name, which is behind its type, is `name`.
    fn is_named(&self, record: &[u8], name: &str) -> bool {
        let mut rest = name.as_bytes();
        for (place, &token) in record.iter().enumerate() {
            let text = self.tokens.text(token);
            let text = if place == 0 {
                text.get(1..).unwrap_or(&[])
            } else {
                text
            };
            match rest.strip_prefix(text) {
                Some(behind) => rest = behind,
                None => return false,
            }
        }
        rest.is_empty()
    }

    /// Returns the type of each symbol, a letter as `nm` prints it, in the order of their numbers.
    fn kinds(&self) -> impl Iterator<Item = u8> {
        self.names.records().map(|record| {
            record
                .first()
                .and_then(|&token| self.tokens.text(token).first())
                .copied()
                .unwrap_or(b'?')
        })
    }
}

/// Returns whether `kind` is the type of a text symbol.
const fn is_text(kind: u8) -> bool {
    matches!(kind, b't' | b'T' | b'w' | b'W')
}
