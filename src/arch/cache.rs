// SPDX-License-Identifier: Apache-2.0
//! Cache maintenance by address (Arm ARM, cache maintenance instructions).

use super::barrier;
use baton_sysreg::{instruction, read_sysreg};

/// Returns the size in bytes of the smallest line of all data caches (`CTR_EL0.DminLine`).
pub fn data_line() -> usize {
    // SAFETY: CTR_EL0 is an ID register, readable everywhere.
    let ctr = unsafe { read_sysreg!(CTR_EL0) };
    4 << (ctr >> 16 & 0xf)
}

/// Cleans the `size` bytes from `start` to the point of coherency, for observers without caches.
pub fn clean_to_poc(start: usize, size: usize) {
    clean_lines_to_poc(start, size);
    barrier::dsb_sy();
}

/// As [`clean_to_poc`], but returns before the cleaning is complete: the caller executes `dsb sy`.
pub fn clean_lines_to_poc(start: usize, size: usize) {
    let line = data_line();
    let mut address = start & !(line - 1);
    while address < start + size {
        // SAFETY: Cleaning changes no value that this CPU can see.
        unsafe { instruction!("dc cvac", address as u64) };
        address += line;
    }
}

/// Cleans the `size` bytes from `start` to the point of coherency, and invalidates them.
pub fn clean_invalidate_to_poc(start: usize, size: usize) {
    let line = data_line();
    let mut address = start & !(line - 1);
    while address < start + size {
        // SAFETY: Clean and invalidate changes no value that this CPU can see.
        unsafe { instruction!("dc civac", address as u64) };
        address += line;
    }
    barrier::dsb_sy();
}

/// Makes every CPU fetch the `size` bytes from `start` as they are now, when it executes them.
pub fn sync_instructions(start: usize, size: usize) {
    clean_to_poc(start, size);
    // SAFETY: An instruction that is invalidated is fetched again.
    unsafe { instruction!("ic ialluis") };
    barrier::dsb_ish();
    barrier::isb();
}
