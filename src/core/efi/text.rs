// SPDX-License-Identifier: Apache-2.0
//! Text of UEFI's: UTF-16, little-endian, up to a 0 (UEFI 2.10, 2.3.1).

/// Returns the units of the text that `bytes` begins with, up to its 0 or the end.
pub fn units(bytes: &[u8]) -> impl Iterator<Item = u16> {
    let (units, _) = bytes.as_chunks::<2>();
    units
        .iter()
        .map(|unit| u16::from_le_bytes(*unit))
        .take_while(|&unit| unit != 0)
}
