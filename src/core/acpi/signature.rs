// SPDX-License-Identifier: Apache-2.0
//! What tables are called.

use core::fmt::{self, Display, Formatter, Write};

/// The four letters that a table begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(pub [u8; 4]);

impl Display for Signature {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            f.write_char(if byte.is_ascii_graphic() {
                char::from(byte)
            } else {
                '?'
            })?;
        }
        Ok(())
    }
}
