// SPDX-License-Identifier: Apache-2.0
//! The table of regions in a purgatory.

use super::error::Entry;
use crate::linux::kimage::MAX_SEGMENTS;
use crate::linux::ranges::Range;
use crate::memory::guest_memory::GuestMemory;

const WORDS: usize = 2 * MAX_SEGMENTS;
/// Bytes of the table (`SHA256_REGIONS` of `struct sha256_region`).
pub const SIZE: u64 = 8 * WORDS as u64;
/// Words of the digest behind it.
const DIGEST_WORDS: usize = 4;

/// What there is in a purgatory.
pub enum Table {
    /// The table, at this physical address.
    At(u64),
    /// A table of which this entry is not as it should be.
    Damaged(Entry),
    /// A table and a digest of zeroes, and behind them the word that tells the purgatory to skip its
    /// checks.
    Skipped,
    /// None.
    Nowhere,
}

/// The place that is most like the table.
#[derive(Clone, Copy)]
struct Best {
    at: u64,
    /// How many words of entries are as expected.
    same: usize,
}

/// Finds the table of `regions` in `purgatory`, whose start is aligned to 8 bytes.
pub fn find(memory: &impl GuestMemory, purgatory: Range, regions: &[Range]) -> Table {
    let mut expected = [0; WORDS];
    for (entry, region) in expected.as_chunks_mut().0.iter_mut().zip(regions) {
        *entry = [region.start, region.end - region.start];
    }
    let used = 2 * regions.len();
    // The last words read, and where the oldest of them is; and how many of zero come last.
    let mut window = [0; WORDS];
    let (mut zeroes, mut skipped) = (0, false);
    let mut best: Option<Best> = None;
    for (number, at) in (purgatory.start..purgatory.end).step_by(8).enumerate() {
        let Some(word) = memory.read_u64(at) else {
            break;
        };
        skipped |= zeroes >= WORDS + DIGEST_WORDS && word as u32 == 1;
        zeroes = if word == 0 { zeroes + 1 } else { 0 };
        // A ring: the oldest word goes.
        if let Some(slot) = window.get_mut(number % WORDS) {
            *slot = word;
        }
        if number + 1 < WORDS {
            continue;
        }
        let (newer, older) = window.split_at((number + 1) % WORDS);
        let words = || older.iter().chain(newer).zip(&expected);
        let same = words()
            .take(used)
            .filter(|(word, wanted)| word == wanted)
            .count();
        let table = at + 8 - SIZE;
        if used > 0 && same == used && words().all(|(word, wanted)| word == wanted) {
            return Table::At(table);
        }
        if best.is_none_or(|best| best.same < same) {
            best = Some(Best { at: table, same });
        }
    }
    match best {
        // Half of it is no accident: addresses and sizes in this order.
        Some(best) if used > 0 && 2 * best.same >= used => {
            Table::Damaged(first_wrong(memory, best.at, &expected))
        }
        _ if skipped => Table::Skipped,
        _ => Table::Nowhere,
    }
}

/// Returns the first entry of the table at `at` that is not as expected.
fn first_wrong(memory: &impl GuestMemory, at: u64, expected: &[u64; WORDS]) -> Entry {
    let mut entry = Entry::default();
    for (number, (at, wanted)) in (at..).step_by(16).zip(expected.as_chunks().0).enumerate() {
        let [start, size] = [at, at + 8].map(|at| memory.read_u64(at).unwrap_or(0));
        let [expected_start, expected_size] = *wanted;
        if [start, size] != *wanted {
            entry = Entry {
                number,
                start,
                size,
                expected_start,
                expected_size,
            };
            break;
        }
    }
    entry
}
