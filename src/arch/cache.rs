// SPDX-License-Identifier: Apache-2.0
//! Cache maintenance by address (Arm ARM, cache maintenance instructions).

use super::barrier;
use baton_sysreg::read_sysreg;
use core::arch::asm;

/// Returns the smallest data cache line of any cache in bytes (`CTR_EL0.DminLine`).
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

/// As [`clean_to_poc`], but without waiting for it: the caller does, by `dsb sy`.
pub fn clean_lines_to_poc(start: usize, size: usize) {
    let line = data_line();
    let mut address = start & !(line - 1);
    while address < start + size {
        // SAFETY: Cleaning changes no value that this CPU can see.
        unsafe { asm!("dc cvac, {}", in(reg) address, options(nostack, preserves_flags)) };
        address += line;
    }
}

/// Cleans the `size` bytes from `start` to the point of coherency and drops them from the caches.
pub fn clean_invalidate_to_poc(start: usize, size: usize) {
    let line = data_line();
    let mut address = start & !(line - 1);
    while address < start + size {
        // SAFETY: Clean and invalidate changes no value that this CPU can see.
        unsafe { asm!("dc civac, {}", in(reg) address, options(nostack, preserves_flags)) };
        address += line;
    }
    barrier::dsb_sy();
}

/// Makes the `size` bytes from `start` what every CPU fetches as instructions.
pub fn sync_instructions(start: usize, size: usize) {
    clean_to_poc(start, size);
    // SAFETY: Dropping instructions from the caches changes nothing but speed.
    unsafe { asm!("ic ialluis", options(nostack, preserves_flags)) };
    barrier::dsb_ish();
    barrier::isb();
}
