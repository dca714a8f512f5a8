// SPDX-License-Identifier: Apache-2.0
//! The instructions of the monitor as it was built, where a compiler, a linker or a flag that went lost could
//! undo what keeps it clear of an erratum (`src/core/errata.rs`).
//!
//! Encodings are those of the Arm ARM (DDI 0487), C4.1 and D24.

use baton_qemu::paths;
use std::ops::Range;

const PAGE: usize = 0x1000;
/// Where the PE header's section headers say: bytes in the file, and where they begin.
const RAW_DATA: usize = 16;

const ISB: u32 = 0xd503_3fdf;
const DSB_NSH: u32 = 0xd503_379f;
const DMB_SY: u32 = 0xd503_3fbf;
const TSB_CSYNC: u32 = 0xd503_225f;
/// Rt of what moves a system register.
const RT: u32 = 0x1f;

/// Returns the instructions of the monitor. Its sections have the same place in the file as in memory, so
/// that an instruction's index is its place in its page too.
fn text() -> Vec<u32> {
    let path = paths::monitor();
    let image = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let word = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().expect("4 bytes"));
    let half = |at: usize| word(at) as usize & 0xffff;
    let pe = word(0x3c) as usize;
    let first = pe + 24 + half(pe + 20);
    assert_eq!(&image[first..first + 5], b".text", "the first section");
    let (size, start) = (word(first + RAW_DATA), word(first + RAW_DATA + 4));
    assert_eq!(start as usize % PAGE, 0);
    (start..start + size)
        .step_by(4)
        .map(|at| word(at as usize))
        .collect()
}

/// A load, a store or a prefetch.
fn accesses_memory(instruction: u32) -> bool {
    instruction & 0x0a00_0000 == 0x0800_0000
}

/// MADD, MSUB and their long forms, of 64 bits, that add to something.
fn accumulates(instruction: u32) -> bool {
    instruction & 0xff00_0000 == 0x9b00_0000 && instruction >> 10 & RT != RT
}

/// Returns where instructions of `text` are `wanted` but for their Rt; there is one at least.
#[track_caller]
fn places(text: &[u32], wanted: u32) -> Vec<usize> {
    let is_wanted = |&at: &usize| text[at] & !RT == wanted;
    let places: Vec<usize> = (0..text.len()).filter(is_wanted).collect();
    assert!(!places.is_empty(), "{wanted:#x} is nowhere");
    places
}

/// Fails unless `barrier` is within `range`, and no access to memory before it.
#[track_caller]
fn has_barrier(text: &[u32], mut range: impl Iterator<Item = usize>, barrier: u32) {
    let mut seen = Vec::new();
    let found = range.any(|at| {
        seen.push(format!("{at:#x}: {:#010x}", text[at]));
        assert!(
            !accesses_memory(text[at]),
            "expected {barrier:#x} first, seen {seen:?}"
        );
        text[at] == barrier
    });
    assert!(found, "expected {barrier:#x}, seen {seen:?}");
}

/// What stands before and behind the instruction at `at`, as far as barriers are looked for.
fn before(at: usize) -> std::iter::Rev<Range<usize>> {
    (at.saturating_sub(8)..at).rev()
}

fn behind(text: &[u32], at: usize) -> Range<usize> {
    at + 1..(at + 20).min(text.len())
}

/// Cortex-A53, 835769.
#[test]
fn no_accumulation_stands_behind_an_access() {
    let text = text();
    let is_pair = |&at: &usize| accesses_memory(text[at - 1]) && accumulates(text[at]);
    let pairs: Vec<String> = (1..text.len())
        .filter(is_pair)
        .map(|at| format!("{:#x}", 4 * at))
        .collect();
    assert!(text.iter().any(|&word| accumulates(word)), "there are some");
    assert!(pairs.is_empty(), "{} in .text at {pairs:?}", pairs.len());
}

/// Cortex-A53, 843419: an ADRP in one of the last two words of a page, an access, maybe another
/// instruction, and an access by what the ADRP gave. An access in second place that loads the
/// register anew ends the sequence, as it does for the linker (`--fix-cortex-a53-843419`).
#[test]
fn no_access_uses_an_adrp_at_the_end_of_a_page() {
    let text = text();
    let is_at_end = |at: usize| 4 * at % PAGE >= PAGE - 8 && text[at] & 0x9f00_0000 == 0x9000_0000;
    let uses = |at: usize, register: u32| {
        // An access at an unsigned offset from Rn.
        text[at] & 0x3b00_0000 == 0x3900_0000 && text[at] >> 5 & RT == register
    };
    // A load of one general-purpose register: "Loads and Stores" with V = 0 and opc other than 0.
    let loads = |at: usize, register: u32| {
        let word = text[at];
        word & 0x3c00_0000 == 0x3800_0000 && word & 0x00c0_0000 != 0 && word & RT == register
    };
    for at in (0..text.len() - 3).filter(|&at| is_at_end(at)) {
        let register = text[at] & RT;
        if loads(at + 1, register) {
            continue;
        }
        let used = uses(at + 2, register) || uses(at + 3, register);
        assert!(
            !(accesses_memory(text[at + 1]) && used),
            "in .text at {:#x}: {:#010x?}",
            4 * at,
            &text[at..at + 4]
        );
    }
}

/// Cortex-A53, 819472 and others: no DC CVAC, CVAU, CVAP. And A73, 858921: no TVAL of a timer is written.
#[test]
fn no_line_is_cleaned_alone_and_no_timer_is_set_by_its_distance() {
    let text = text();
    for (what, instruction) in [
        ("DC CVAC", 0xd50b_7a20),
        ("DC CVAU", 0xd50b_7b20),
        ("DC CVAP", 0xd50b_7c20),
        ("CNTP_TVAL_EL0", 0xd51b_e200),
        ("CNTV_TVAL_EL0", 0xd51b_e300),
        ("CNTHP_TVAL_EL2", 0xd51c_e200),
    ] {
        let at = text.iter().position(|word| word & !RT == instruction);
        assert_eq!(at, None, "{what}");
    }
    places(&text, 0xd50b_7e20); // DC CIVAC
}

/// The copy (`src/arch/copy.rs`): whole lines are stored in a row, and none is cleaned or zeroed in between.
#[test]
fn the_copy_stores_lines_without_a_place_in_the_caches() {
    /// STNP of two X registers, without its operands.
    const STNP: u32 = 0xa800_0000;
    /// DC, IC, AT, TLBI: SYS with an Rt, without its operands.
    const SYS: u32 = 0xd508_0000;
    let text = text();
    let stores: Vec<usize> = (0..text.len())
        .filter(|&at| text[at] & 0xffc0_0000 == STNP)
        .collect();
    let (Some(&first), Some(&last)) = (stores.first(), stores.last()) else {
        panic!("expected STNP in the image, seen none");
    };
    // A turn, and eight that are written out: four stores and four loads each.
    assert_eq!(stores.len(), 9 * 4, "STNP at {stores:x?}");
    let between = &text[first..=last];
    assert!(between.len() < 100, "{} words", between.len());
    let maintenance = between.iter().position(|word| word & 0xfff8_0000 == SYS);
    assert_eq!(maintenance, None, "a cache is maintained between stores");
}

/// Each `instruction` stands between two barriers.
#[track_caller]
fn stands_between(instruction: u32, first: u32, second: u32) {
    let text = text();
    for at in places(&text, instruction) {
        has_barrier(&text, before(at), first);
        has_barrier(&text, behind(&text, at), second);
    }
}

/// AmpereOne, AC04_CPU_23.
#[test]
fn a_write_of_hcr_stands_between_barriers() {
    stands_between(0xd51c_1100, DSB_NSH, ISB);
}

/// Cortex-A77, 1508412.
#[test]
fn a_read_of_par_stands_between_barriers() {
    stands_between(0xd538_7400, DMB_SY, DMB_SY);
}

/// ThunderX2, 219: TTBR0_EL1, TTBR1_EL1, TTBR0_EL2 and VTTBR_EL2.
#[test]
fn no_access_comes_between_new_tables_and_an_isb() {
    let text = text();
    for register in [0xd518_2000, 0xd518_2020, 0xd51c_2000, 0xd51c_2100] {
        for at in places(&text, register) {
            has_barrier(&text, behind(&text, at), ISB);
        }
    }
}

/// Cortex-A710, 2054223, and Neoverse N2, 2067961.
#[test]
fn trace_is_drained_by_two_barriers_in_a_row() {
    let text = text();
    let drains = text.iter().filter(|&&word| word == TSB_CSYNC).count();
    let pairs = text
        .windows(2)
        .filter(|words| *words == [TSB_CSYNC; 2])
        .count();
    assert!(drains > 0, "there are some");
    assert_eq!(drains, 2 * pairs, "each is one of two");
}
