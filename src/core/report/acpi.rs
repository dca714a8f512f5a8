// SPDX-License-Identifier: Apache-2.0
//! The report as a table of ACPI, with the text of the device tree's property.

use super::property;
use crate::acpi::sum;
use baton_abi::acpi::{CHECKSUM, OEM_ID, OEM_TABLE_ID, REVISION, SIGNATURE, SIZE, TEXT, TEXT_SIZE};

const _: () = assert!(TEXT_SIZE == property::SIZE);

/// The header, but for its checksum.
const HEADER: [u8; TEXT] = {
    let mut header = [0; TEXT];
    put(&mut header, 0, &SIGNATURE);
    put(&mut header, 4, &(SIZE as u32).to_le_bytes());
    put(&mut header, 8, &[REVISION]);
    put(&mut header, 10, &OEM_ID);
    put(&mut header, 16, &OEM_TABLE_ID);
    put(&mut header, 24, &(REVISION as u32).to_le_bytes());
    put(&mut header, 28, &SIGNATURE);
    put(&mut header, 32, &(REVISION as u32).to_le_bytes());
    header
};

/// Bytes from the start on, by which the table is known: signature, length and revision.
pub const KNOWN_BY: usize = CHECKSUM;

const fn put(header: &mut [u8; TEXT], at: usize, bytes: &[u8]) {
    let mut index = 0;
    while index < bytes.len() {
        header[at + index] = bytes[index];
        index += 1;
    }
}

/// Returns the header of the table with `text`, which [`property`] made.
pub fn header(text: &[u8; TEXT_SIZE]) -> [u8; TEXT] {
    let mut header = HEADER;
    header[CHECKSUM] = sum(&header).wrapping_add(sum(text)).wrapping_neg();
    header
}

/// Returns the table with `text`.
pub fn table(text: &[u8; TEXT_SIZE]) -> [u8; SIZE] {
    let mut table = [0; SIZE];
    let (start, rest) = table.split_at_mut(TEXT);
    start.copy_from_slice(&header(text));
    rest.copy_from_slice(text);
    table
}

/// Returns whether what begins with `start` is the table.
pub fn is_table(start: &[u8; KNOWN_BY]) -> bool {
    HEADER.starts_with(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_as_documented() {
        let table = table(&property::empty());
        assert_eq!(table.len(), 4132);
        assert_eq!(table[..4], *b"BATN");
        assert_eq!(table[4..9], [0x24, 0x10, 0, 0, 1], "length and revision");
        assert_eq!(table[10..24], *b"BATON REPORT  ");
        assert_eq!(table[24..36], *b"\x01\0\0\0BATN\x01\0\0\0");
        assert!(table[36..].starts_with(b"Baton report v1\nno reboot yet\n\0"));
    }

    #[test]
    fn checksum_is_right_for_every_text() {
        for text in [property::empty(), [1; TEXT_SIZE], [0xff; TEXT_SIZE]] {
            let table = table(&text);
            let total: u32 = table.iter().copied().map(u32::from).sum();
            assert_eq!(total % 256, 0, "checksum {:#x}", table[CHECKSUM]);
            assert_eq!(table[TEXT..], text);
        }
    }

    #[test]
    fn is_known_by_its_first_bytes() {
        let table = table(&property::empty());
        let mut start = *table.first_chunk().expect("a table");
        assert!(is_table(&start));
        start[8] = 2;
        assert!(!is_table(&start), "a later layout");
        assert!(!is_table(&[0; KNOWN_BY]));
    }
}
