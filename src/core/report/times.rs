// SPDX-License-Identifier: Apache-2.0
//! The report's times for programs of the next kernel: header and rows, as the REPORT call has them.

use crate::devicetree::blob;
use alloc::vec::Vec;
use baton_abi::{REPORT_MAGIC, ReportHeader, report_size};
use zerocopy::{FromBytes, IntoBytes};

/// Returns what is there before the first takeover of a machine with so many CPUs.
pub fn empty(cpus: usize) -> Vec<u8> {
    let mut times = ReportHeader::of_cpus(cpus).as_bytes().to_vec();
    times.resize(report_size(cpus), 0);
    times
}

/// Returns the offset of the times in `tree`, if all of those for so many CPUs are there.
///
/// As the text, they are near the end of a tree, and the guest stands still meanwhile.
pub fn find(tree: &[u8], cpus: usize) -> Option<usize> {
    let expected = ReportHeader::of_cpus(cpus);
    let known = |header: &ReportHeader| {
        (header.version, header.header_size) == (expected.version, expected.header_size)
            && (header.row_size, header.rows) == (expected.row_size, expected.rows)
    };
    find_any(tree, |header| known(header)).map(|(at, _)| at)
}

/// Returns the offset of times in `tree` whose header is `known`, and that header, if all of the rows are there.
pub fn find_any(
    tree: &[u8],
    known: impl Fn(&ReportHeader) -> bool,
) -> Option<(usize, ReportHeader)> {
    let magic = REPORT_MAGIC.to_le_bytes();
    let (cells, _) = blob::structure(tree).unwrap_or(tree).as_chunks::<4>();
    let places = cells.iter().enumerate().rev();
    places
        .filter(|(_, cell)| magic.starts_with(*cell))
        .find_map(|(number, _)| {
            let bytes = tree.get(number * 4..)?;
            let (header, _) = ReportHeader::read_from_prefix(bytes).ok()?;
            let rows = header.rows.checked_mul(header.row_size)?;
            let whole = header.header_size.checked_add(rows)?;
            let fits = usize::try_from(whole).is_ok_and(|whole| whole <= bytes.len());
            (header.magic == REPORT_MAGIC && fits && known(&header)).then_some((number * 4, header))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_found_in_a_tree_wherever_they_are() {
        for at in [0, 4, 400] {
            let mut tree = vec![0x42; 4096];
            tree[at..at + report_size(3)].copy_from_slice(&empty(3));
            assert_eq!(find(&tree, 3), Some(at));
            assert_eq!(find(&tree, 2), None, "of another machine");
            tree.truncate(at + report_size(3) - 1);
            assert_eq!(find(&tree, 3), None, "the last row is not whole");
        }
    }

    #[test]
    fn a_size_beyond_all_is_none() {
        let mut times = empty(1);
        for field in [24, 32] {
            let mut broken = times.clone();
            broken[field..field + 8].fill(0xff);
            assert_eq!(find_any(&broken, |_| true), None);
        }
        assert!(find_any(&times, |_| true).is_some());
        times[4] = b'?';
        assert_eq!(find_any(&times, |_| true), None, "another magic number");
    }
}
