// SPDX-License-Identifier: Apache-2.0
//! What a test returns: nothing, or what it expected and what it saw.

use core::fmt::{Arguments, Display, Formatter, Write};

/// What a test expected and what it saw.
pub struct Failure {
    text: [u8; Self::SIZE],
    length: usize,
}

impl Failure {
    const SIZE: usize = 240;

    /// A failure with a text, cut off at its size.
    pub fn new(text: Arguments) -> Self {
        let mut failure = Self {
            text: [0; Self::SIZE],
            length: 0,
        };
        // An error means that the rest did not fit.
        let _ = failure.write_fmt(text);
        failure
    }
}

impl Write for Failure {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for character in text.chars() {
            let end = self.length + character.len_utf8();
            let room = self
                .text
                .get_mut(self.length..end)
                .ok_or(core::fmt::Error)?;
            character.encode_utf8(room);
            self.length = end;
        }
        Ok(())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter) -> core::fmt::Result {
        f.pad(
            self.text
                .get(..self.length)
                .and_then(|t| str::from_utf8(t).ok())
                .unwrap_or(""),
        )
    }
}

/// The result of a test or of a part of it.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Ends the function with a [`Failure`].
macro_rules! fail {
    ($($argument:tt)*) => {
        return Err($crate::outcome::Failure::new(format_args!($($argument)*)))
    };
}
pub(crate) use fail;

/// Ends the function with a [`Failure`] unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($argument:tt)*) => {
        if !$condition {
            $crate::outcome::fail!($($argument)*);
        }
    };
}
pub(crate) use ensure;

/// Expects a value of a call, a count or the like.
pub fn expect<T: PartialEq + Display>(what: impl Display, expected: T, seen: T) -> Outcome {
    ensure!(expected == seen, "{what}: expected {expected}, seen {seen}");
    Ok(())
}

/// Expects one of several return codes.
pub fn expect_any(what: impl Display, expected: &[i64], seen: i64) -> Outcome {
    ensure!(
        expected.contains(&seen),
        "{what}: expected one of {expected:?}, seen {seen}"
    );
    Ok(())
}
