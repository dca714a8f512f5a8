// SPDX-License-Identifier: Apache-2.0
//! The report as a table of ACPI, with the text and the times of the device tree's properties, and the log.

use super::{property, times};
use crate::acpi::sum;
use alloc::vec::Vec;
use baton_abi::acpi::{CHECKSUM, OEM_ID, OEM_TABLE_ID, REVISION, SIGNATURE, TEXT, TEXT_SIZE, size};

const _: () = assert!(TEXT_SIZE == property::SIZE);

/// Offset of the length in the header.
const LENGTH: usize = 4;

/// The header, but for its length and its checksum.
const HEADER: [u8; TEXT] = {
    let mut header = [0; TEXT];
    put(&mut header, 0, &SIGNATURE);
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

/// Returns the header of the table of a machine with so many CPUs, but for its checksum.
fn unchecked(cpus: usize) -> [u8; TEXT] {
    let mut header = HEADER;
    put(&mut header, LENGTH, &(size(cpus) as u32).to_le_bytes());
    header
}

/// Returns the header of the table of a machine with so many CPUs; text and times add up to `rest`, and the log to 0.
pub fn header(cpus: usize, rest: u8) -> [u8; TEXT] {
    let mut header = unchecked(cpus);
    header[CHECKSUM] = sum(&header).wrapping_add(rest).wrapping_neg();
    header
}

/// Returns the table before the first takeover, and without any line of the log, with `text`, which [`property`]
/// made.
pub fn table(cpus: usize, text: &[u8; TEXT_SIZE]) -> Vec<u8> {
    let times = times::empty(cpus);
    let rest = sum(text).wrapping_add(sum(&times));
    let mut table = Vec::with_capacity(size(cpus));
    table.extend(header(cpus, rest));
    table.extend(text);
    table.extend(times);
    table.resize(size(cpus), 0);
    table
}

/// Returns whether what begins with `start` is the table of a machine with so many CPUs.
pub fn is_table(cpus: usize, start: &[u8; KNOWN_BY]) -> bool {
    unchecked(cpus).starts_with(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::property::About;

    #[test]
    fn header_is_as_documented() {
        let table = table(4, &property::empty(&About::default()));
        assert_eq!(table.len(), 4132 + 224 + 4 * 152 + 65536);
        assert_eq!(table[..4], *b"BATN");
        assert_eq!(table[4..9], [0x64, 0x13, 1, 0, 2], "length and revision");
        assert_eq!(table[10..24], *b"BATON REPORT  ");
        assert_eq!(table[24..36], *b"\x02\0\0\0BATN\x02\0\0\0");
        assert!(table[36..].starts_with(b"Baton report v1\n"));
        assert!(table[4132..].starts_with(b"BATONRPT"));
    }

    #[test]
    fn checksum_is_right_for_every_text() {
        for text in [
            property::empty(&About::default()),
            [1; TEXT_SIZE],
            [0xff; TEXT_SIZE],
        ] {
            let table = table(80, &text);
            let total: u32 = table.iter().copied().map(u32::from).sum();
            assert_eq!(total % 256, 0, "checksum {:#x}", table[CHECKSUM]);
            assert_eq!(table[TEXT..TEXT + TEXT_SIZE], text);
        }
    }

    #[test]
    fn is_known_by_its_first_bytes() {
        let table = table(4, &property::empty(&About::default()));
        let mut start = *table.first_chunk().expect("a table");
        assert!(is_table(4, &start));
        assert!(!is_table(5, &start), "of another machine");
        start[8] = 3;
        assert!(!is_table(4, &start), "a later layout");
        assert!(!is_table(4, &[0; KNOWN_BY]));
    }
}
