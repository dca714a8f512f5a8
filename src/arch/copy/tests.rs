// SPDX-License-Identifier: Apache-2.0

use super::*;
use alloc::vec::Vec;
use baton_sysreg::fake::{self, Event};

/// Two pages of memory, each byte with a number of its own.
#[repr(align(4096))]
struct Pages([u8; 0x2000]);

impl Pages {
    fn numbered() -> Self {
        Self(core::array::from_fn(|at| (at % 251) as u8 + 1))
    }
}

/// Returns the addresses that were cleaned, from the start of `pages`.
fn cleaned(pages: &Pages) -> Vec<u64> {
    let start = pages.0.as_ptr() as u64;
    let clean = |event| match event {
        Event::Execute("dc civac", address) => address.map(|address| address - start),
        _ => None,
    };
    fake::events().into_iter().filter_map(clean).collect()
}

#[test]
fn a_copy_is_whole_and_each_of_its_lines_cleaned() {
    fake::reset();
    // CTR_EL0.DminLine: 16 words.
    fake::set("CTR_EL0", 4 << 16);
    let (source, mut destination) = (Pages::numbered(), Pages([0; 0x2000]));
    let size = 9 * TURN;
    // SAFETY: Both are as long, and not the same.
    unsafe { copy_and_clean(destination.0.as_mut_ptr(), source.0.as_ptr(), size as usize) };
    let (copied, rest) = destination.0.split_at(size as usize);
    assert_eq!(copied, &source.0[..size as usize]);
    assert!(rest.iter().all(|&byte| byte == 0), "behind the copy");
    let lines: Vec<u64> = (0..size).step_by(64).collect();
    assert_eq!(cleaned(&destination), lines);
}

#[test]
fn lines_are_stored_in_a_row_and_cleaned_behind_it() {
    fake::reset();
    fake::set("CTR_EL0", 4 << 16);
    let (source, mut destination) = (Pages::numbered(), Pages([0; 0x2000]));
    let size = RUN + 2 * TURN as usize;
    // SAFETY: Both are as long, and not the same.
    unsafe { copy_and_clean(destination.0.as_mut_ptr(), source.0.as_ptr(), size) };
    assert_eq!(&destination.0[..size], &source.0[..size]);
    let expected = [("stnp", 64), ("dc civac", 64), ("stnp", 2), ("dc civac", 2)];
    let seen: Vec<_> = fake::instructions()
        .chunk_by(|one, next| one == next)
        .map(|row| (row[0], row.len()))
        .collect();
    assert_eq!(seen, expected);
    let lines: Vec<u64> = (0..size as u64).step_by(64).collect();
    assert_eq!(cleaned(&destination), lines);
}

#[test]
fn shorter_lines_are_all_cleaned() {
    fake::reset();
    // 8 words.
    fake::set("CTR_EL0", 3 << 16);
    let (source, mut destination) = (Pages::numbered(), Pages([0; 0x2000]));
    // SAFETY: Both are as long, and not the same.
    unsafe {
        copy_and_clean(
            destination.0.as_mut_ptr(),
            source.0.as_ptr(),
            2 * TURN as usize,
        )
    };
    let cleaned = cleaned(&destination);
    for line in (0..2 * TURN).step_by(32) {
        assert!(cleaned.contains(&line), "{line:#x} is not in {cleaned:?}");
    }
}

#[test]
fn zeroes_are_written_by_blocks_and_words_and_nothing_beside() {
    // DCZID_EL0.BS of 64 bytes; DZP: prohibited; a block of 2 KiB.
    for dczid in [4, 4 | 1 << 4, 9] {
        for (start, end) in [
            (8, 0x1ff8),
            (0, 0x1000),
            (0x40, 0x80),
            (0x48, 0x50),
            (0x48, 0x48),
        ] {
            fake::reset();
            fake::set("DCZID_EL0", dczid);
            let mut pages = Pages::numbered();
            // SAFETY: It lies inside of `pages`.
            unsafe { zero(pages.0.as_mut_ptr().add(start), end - start) };
            for (at, byte) in pages.0.iter().enumerate() {
                let zeroed = (start..end).contains(&at);
                assert_eq!(
                    *byte == 0,
                    zeroed,
                    "{at:#x} of {start:#x}..{end:#x}, {dczid:#x}"
                );
            }
        }
    }
}

#[test]
fn blocks_are_used_where_they_fit_alone() {
    fake::reset();
    fake::set("DCZID_EL0", 4);
    let mut pages = Pages::numbered();
    // SAFETY: It lies inside of `pages`.
    unsafe { zero(pages.0.as_mut_ptr().add(8), 0x100) };
    // From 0x40 to 0x100; the ends are no whole blocks.
    assert_eq!(fake::instructions(), ["dc zva"; 3]);
}
