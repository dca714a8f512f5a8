// SPDX-License-Identifier: Apache-2.0
//! The report of the takeover that is under way, as far as it is written while CPUs copy.

use alloc::vec;
use alloc::vec::Vec;
use baton_core::report::property::SIZE;
use baton_core::sync::Lock;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

/// Sums that CPUs add to: CPUs that have the same one wait for each other's stores.
const SUMS: usize = 32;

/// On a cache line of its own.
#[repr(align(128))]
struct Sum(AtomicU32);

/// Where it is, and what is still missing. The boot CPU writes it before [`PreparedReport::is_ready`], and
/// the others add to it until they have finished phase 3.
pub struct PreparedReport {
    /// The generation for which all below is set.
    ready: AtomicU64,
    /// All of it is written, but for what is known at the end alone.
    pub is_written: AtomicBool,
    /// Physical address of the text in the next kernel's device tree; 0 if there is none.
    pub tree_text: AtomicU64,
    /// The same of the header and the rows.
    pub tree_times: AtomicU64,
    /// Physical address of the ACPI table; 0 if there is none.
    pub table: AtomicU64,
    /// The offset of the line in the tree's text that is known at the end alone.
    pub tree_line: AtomicU64,
    /// The same in the table's text.
    pub table_line: AtomicU64,
    /// The table's checksum, before the sums that CPUs have added.
    pub checksum: AtomicU32,
    /// How many bytes all CPUs copy and zero.
    pub bytes: AtomicU64,
    /// How many of them are zeroed, by those that have finished.
    pub zeroed: AtomicU64,
    /// The end of the log that the text has.
    pub log_end: AtomicU64,
    /// Room for the text, which a CPU's stack has none for.
    pub text: Lock<Vec<u8>>,
    sums: [Sum; SUMS],
}

impl PreparedReport {
    /// Returns that of no takeover.
    pub fn new() -> Self {
        Self {
            ready: AtomicU64::new(0),
            is_written: AtomicBool::new(false),
            tree_text: AtomicU64::new(0),
            tree_times: AtomicU64::new(0),
            table: AtomicU64::new(0),
            tree_line: AtomicU64::new(0),
            table_line: AtomicU64::new(0),
            checksum: AtomicU32::new(0),
            bytes: AtomicU64::new(0),
            zeroed: AtomicU64::new(0),
            log_end: AtomicU64::new(0),
            text: Lock::new(vec![0; SIZE]),
            sums: [const { Sum(AtomicU32::new(0)) }; SUMS],
        }
    }

    /// Forgets the takeover before.
    pub fn clear(&self) {
        self.is_written.store(false, Relaxed);
        for word in [&self.tree_text, &self.tree_times, &self.table, &self.zeroed] {
            word.store(0, Relaxed);
        }
        for sum in &self.sums {
            sum.0.store(0, Relaxed);
        }
    }

    /// Tells the CPUs of `generation` that they can add to it.
    pub fn set_ready(&self, generation: u64) {
        self.ready.store(generation, Release);
    }

    /// Returns whether CPUs of `generation` can add to it.
    pub fn is_ready(&self, generation: u64) -> bool {
        self.ready.load(Acquire) == generation
    }

    /// Counts what the bytes add up to that the CPU `index` has written to the ACPI table.
    pub fn add(&self, index: usize, sum: u8) {
        let place = &self.sums[index % SUMS];
        place.0.fetch_add(sum.into(), Relaxed);
    }

    /// Returns what all of that adds up to. To be called when all CPUs have finished phase 3.
    pub fn sum(&self) -> u8 {
        let sums = self.sums.iter().map(|sum| sum.0.load(Relaxed) as u8);
        sums.fold(0, u8::wrapping_add)
    }
}

impl Default for PreparedReport {
    fn default() -> Self {
        Self::new()
    }
}
