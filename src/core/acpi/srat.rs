// SPDX-License-Identifier: Apache-2.0
//! Where the SRAT (5.2.16) says that memory can be plugged in.

use crate::little_endian::{u32_at, u64_at};
use crate::memory::region::{Region, RegionSet};

/// Where the entries begin.
const ENTRIES: usize = 48;
/// The type of an entry that has memory (5.2.16.2), and its bytes.
const MEMORY: (u8, usize) = (1, 40);
/// Its flags: it is to be looked at, and memory can come there while the system runs.
const ENABLED: u32 = 1 << 0;
const HOT_PLUGGABLE: u32 = 1 << 1;

/// Returns the addresses at which memory can be plugged in, or is, by an SRAT, up to its first broken entry.
pub fn hot_pluggable(srat: &[u8]) -> RegionSet {
    let mut rest = srat.get(ENTRIES..).unwrap_or_default();
    core::iter::from_fn(|| {
        let length = rest.get(1).filter(|length| **length != 0)?;
        let (entry, behind) = rest.split_at_checked((*length).into())?;
        rest = behind;
        Some(entry)
    })
    .filter_map(region)
    .collect()
}

/// Returns the region of an entry, if memory can be plugged in there.
fn region(entry: &[u8]) -> Option<Region> {
    if *entry.first()? != MEMORY.0 || entry.len() < MEMORY.1 {
        return None;
    }
    let flags = u32_at(entry, 28)?;
    if flags & (ENABLED | HOT_PLUGGABLE) != ENABLED | HOT_PLUGGABLE {
        return None;
    }
    Region::new(u64_at(entry, 8)?, u64_at(entry, 16)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::sample::srat;
    use alloc::vec::Vec;

    fn read(entries: &[(u64, u64, u32)]) -> Vec<(u64, u64)> {
        let regions = hot_pluggable(&srat(entries));
        let bounds = regions.iter().map(|region| (region.start(), region.end()));
        bounds.collect()
    }

    #[test]
    fn only_what_is_enabled_and_hot_pluggable_is_taken() {
        let entries = [
            (0x4000_0000, 0x4000_0000, 1),
            (0x1_0000_0000, 0x8000_0000, 3),
            (0x3_0000_0000, 0x8000_0000, 2),
            (0x4_0000_0000, 0x4000_0000, 7),
        ];
        let expected = [
            (0x1_0000_0000, 0x1_8000_0000),
            (0x4_0000_0000, 0x4_4000_0000),
        ];
        assert_eq!(read(&entries), expected);
    }

    #[test]
    fn what_wraps_or_is_empty_is_none() {
        assert_eq!(read(&[(u64::MAX - 0xfff, 0x2000, 3), (0x1000, 0, 3)]), []);
    }

    #[test]
    fn reading_ends_at_an_entry_that_is_cut_off_or_has_no_length() {
        let whole = srat(&[(0x1_0000_0000, 0x1000, 3), (0x2_0000_0000, 0x1000, 3)]);
        for length in 0..whole.len() {
            let regions = hot_pluggable(&whole[..length]).len();
            assert_eq!(regions, length.saturating_sub(48) / 40, "{length}");
        }
        let mut endless = whole;
        endless[49] = 0;
        assert_eq!(hot_pluggable(&endless).len(), 0);
    }

    #[test]
    fn an_entry_that_is_too_short_or_of_another_type_is_passed_over() {
        let mut table = srat(&[(0x1_0000_0000, 0x1000, 3), (0x2_0000_0000, 0x1000, 3)]);
        table[48] = 3;
        assert_eq!(hot_pluggable(&table).len(), 1);
        table[48..50].copy_from_slice(&[1, 20]);
        table[68..70].copy_from_slice(&[9, 20]);
        assert_eq!(hot_pluggable(&table).len(), 1);
    }
}
