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

/// Cleans the `size` bytes from `start` to the point of coherency, for observers without caches, and
/// invalidates them: a clean alone can lose data on some CPUs (`Workaround::CleanAndInvalidate`).
pub fn clean_to_poc(start: usize, size: usize) {
    clean_lines_to_poc(start, size);
    barrier::dsb_sy();
}

/// As [`clean_to_poc`], but returns before the cleaning is complete: the caller executes `dsb sy`.
pub fn clean_lines_to_poc(start: usize, size: usize) {
    let line = data_line();
    let mut address = start & !(line - 1);
    while address < start + size {
        // SAFETY: Clean and invalidate changes no value that this CPU can see.
        unsafe { instruction!("dc civac", address as u64) };
        address += line;
    }
}

/// Makes every CPU fetch the `size` bytes from `start` as they are now, when it executes them.
pub fn sync_instructions(start: usize, size: usize) {
    clean_to_poc(start, size);
    // Without a TLBI, of whatever translation, some CPUs may fetch what another one has overwritten
    // (`Workaround::TlbiBeforeFetch`).
    // SAFETY: What is invalidated, an instruction or the translation of address 0, is fetched again.
    unsafe {
        instruction!("tlbi vale2is", 0);
        instruction!("ic ialluis");
    }
    barrier::dsb_ish();
    barrier::isb();
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_sysreg::fake::{self, Event};

    /// A CPU with lines of 64 bytes (`CTR_EL0.DminLine`: 16 words).
    fn lines_of_64() {
        fake::reset();
        fake::set("CTR_EL0", 4 << 16);
    }

    #[test]
    fn every_line_is_cleaned_that_has_a_byte_of_it() {
        lines_of_64();
        clean_to_poc(0x103f, 0x42);
        assert_eq!(
            fake::events(),
            [
                Event::Execute("dc civac", Some(0x1000)),
                Event::Execute("dc civac", Some(0x1040)),
                Event::Execute("dc civac", Some(0x1080)),
                Event::Execute("dsb sy", None),
            ]
        );
    }

    #[test]
    fn nothing_has_no_line() {
        lines_of_64();
        clean_lines_to_poc(0x1000, 0);
        assert_eq!(fake::events(), []);
    }

    #[test]
    fn instructions_are_in_memory_before_they_are_fetched_anew() {
        lines_of_64();
        sync_instructions(0x1000, 4);
        let expected = [
            "dc civac",
            "dsb sy",
            "tlbi vale2is",
            "ic ialluis",
            "dsb ish",
            "isb",
        ];
        assert_eq!(fake::instructions(), expected);
    }
}
