// SPDX-License-Identifier: Apache-2.0

use super::*;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Returns `MIDR_EL1` of the architecture that has ID registers; `revision` is 0x21 for r2p1.
fn midr(implementer: u64, part: u64, revision: u64) -> u64 {
    implementer << 24 | (revision >> 4) << 20 | 0xf << 16 | part << 4 | revision & 0xf
}

fn names_with(midr: u64, revidr: u64) -> String {
    Names { midr, revidr }.to_string()
}

fn names(implementer: u64, part: u64, revision: u64) -> String {
    names_with(midr(implementer, part, revision), 0)
}

#[test]
fn each_revision_has_its_errata() {
    for (part, revision, expected) in [
        // Cortex-A53 r0p0 to r0p4, and behind.
        (
            0xd03,
            0x00,
            "819472, 824069, 826319, 827319, 855873, 835769, 843419",
        ),
        (
            0xd03,
            0x01,
            "819472, 824069, 826319, 827319, 855873, 835769, 843419",
        ),
        (
            0xd03,
            0x02,
            "824069, 826319, 827319, 855873, 835769, 843419",
        ),
        (0xd03, 0x03, "855873, 835769, 843419"),
        (0xd03, 0x04, "855873, 835769, 843419"),
        (0xd03, 0x05, "855873"),
        (0xd03, 0x10, "855873"),
        // Cortex-A55 r2p0, and behind.
        (0xd05, 0x20, "1530923, 2441007"),
        (0xd05, 0x21, "2441007"),
        // Cortex-A57, A72, A73.
        (0xd07, 0x13, "1319537"),
        (0xd08, 0x03, "1319367"),
        (0xd09, 0x02, "858921"),
        // Cortex-A76 r2p0, r3p0, and behind each.
        (0xd0b, 0x20, "1165522, 1286807, 4193800"),
        (0xd0b, 0x21, "1286807, 4193800"),
        (0xd0b, 0x30, "1286807, 4193800"),
        (0xd0b, 0x31, "4193800"),
        // C1-Pro r1p2, and behind.
        (0xd8b, 0x12, "4193714"),
        (0xd8b, 0x13, "none"),
        // Neoverse N1: Ampere Altra, and QEMU's.
        (0xd0c, 0x31, "1542419, 4193800"),
        (0xd0c, 0x41, "1542419, 4193800"),
        // Cortex-A77 r1p0, and behind.
        (0xd0d, 0x10, "1508412, 4193798"),
        (0xd0d, 0x11, "4193798"),
        // Cortex-A510 r0p2, r1p1, and behind each.
        (0xd46, 0x02, "2064142, 2077057, 2441009"),
        (0xd46, 0x03, "2441009"),
        (0xd46, 0x11, "2441009"),
        (0xd46, 0x12, "none"),
        // Cortex-A710, Neoverse N2.
        (0xd47, 0x20, "2054223, 4193788"),
        (0xd49, 0x03, "2067961, 4193789"),
    ] {
        let seen = names(0x41, part, revision);
        assert_eq!(
            seen,
            expected,
            "part {part:#x}, r{:x}p{:x}",
            revision >> 4,
            revision & 0xf
        );
    }
}

#[test]
fn who_needs_two_tlbis_is_whom_linux_lists() {
    let repeats = |implementer: u64, part: u64, revision: u64| {
        of(midr(implementer, part, revision), 0).any(|erratum| erratum.workaround == RepeatTlbi)
    };
    let listed = [
        0xd05, 0xd0b, 0xd0c, 0xd0d, 0xd0e, 0xd40, 0xd41, 0xd42, 0xd44, 0xd47, 0xd48, 0xd49, 0xd4b,
        0xd4c, 0xd4e, 0xd4f, 0xd82, 0xd83, 0xd84, 0xd85, 0xd8c, 0xd90,
    ];
    let seen: Vec<u64> = (0..0x1000)
        .filter(|&part| repeats(0x41, part, 0xff))
        .collect();
    assert_eq!(seen, listed, "Arm's, of any revision");
    // Falkor v1, the Kryos of the first kind, and Kryo 4xx Gold; Cobalt 100; Olympus.
    let qualcomm: Vec<u64> = (0..0x1000).filter(|&part| repeats(0x51, part, 0)).collect();
    let expected: Vec<u64> = (0x200..0x300).chain([0x800]).collect();
    assert_eq!(qualcomm, expected, "Qualcomm's, r0p0");
    assert!(!repeats(0x51, 0x804, 0xcd) && repeats(0x51, 0x804, 0xce));
    assert!(repeats(0x51, 0x804, 0xfe) && !repeats(0x51, 0x804, 0xff));
    assert!(repeats(0x6d, 0xd49, 0) && repeats(0x4e, 0x010, 0) && !repeats(0x4e, 0x004, 0));
}

#[test]
fn other_implementers_have_their_own_parts() {
    assert_eq!(names(0xc0, 0xac4, 0), "AC04_CPU_23");
    assert_eq!(names(0xc0, 0xac3, 0), "none", "AC03");
    assert_eq!(names(0x43, 0x0af, 0x11), "219", "ThunderX2");
    assert_eq!(names(0x42, 0x516, 0), "219", "Vulcan");
    assert_eq!(names(0x42, 0x100, 0), "843419", "Brahma-B53 r0p0");
    assert_eq!(names(0x42, 0x100, 1), "none", "Brahma-B53 r0p1");
    assert_eq!(names(0x51, 0x805, 0xde), "1530923", "Kryo 4xx Silver");
    assert_eq!(names(0x51, 0x805, 0xdf), "none");
    assert_eq!(names(0x48, 0xd03, 0x04), "none", "another's part 0xd03");
}

#[test]
fn cpus_that_nothing_is_known_of_have_none() {
    for part in [
        0xd04, 0xd06, 0xd0a, 0xd4d, 0xd80, 0xd81, 0xd87, 0xd8e, 0xfff,
    ] {
        assert_eq!(names(0x41, part, 0), "none", "part {part:#x}");
    }
    assert_eq!(names(0x00, 0x000, 0), "none");
    // QEMU's "max", and Apple's M1.
    assert_eq!(names_with(0x000f_0510, 0), "none");
    assert_eq!(names_with(0x611f_0221, 0), "none");
}

#[test]
fn a_mended_cpu_says_so_in_revidr() {
    let r0p4 = midr(0x41, 0xd03, 0x04);
    assert_eq!(names_with(r0p4, 1 << 7), "855873, 843419");
    assert_eq!(names_with(r0p4, 1 << 8), "855873, 835769");
    assert_eq!(names_with(r0p4, 1 << 7 | 1 << 8), "855873");
    assert_eq!(
        names_with(r0p4, !(1 << 7 | 1 << 8)),
        "855873, 835769, 843419"
    );
    let r0p2 = midr(0x41, 0xd03, 0x02);
    let all = "824069, 826319, 827319, 855873";
    assert_eq!(names_with(r0p2, u64::MAX), alloc::format!("{all}, 843419"));
    let r0p1 = midr(0x41, 0xd03, 0x01);
    assert_eq!(names_with(r0p1, u64::MAX), names_with(r0p1, 0), "not yet");
}

#[test]
fn the_document_has_every_erratum() {
    let document = include_str!("../../../docs/hardware.md");
    let missing: Vec<&str> = (TABLE.iter().map(|erratum| erratum.name))
        .filter(|name| !document.contains(name))
        .collect();
    assert!(missing.is_empty(), "not in docs/hardware.md: {missing:?}");
}

#[test]
fn each_kind_is_new_once() {
    let mut kinds = Kinds::new();
    let (little, big) = (midr(0x41, 0xd05, 0x20), midr(0x41, 0xd0b, 0x40));
    let seen = [little, little, big, little, big].map(|midr| kinds.is_new(midr));
    assert_eq!(seen, [true, false, true, false, false]);
    let new = (1..=20).filter(|&midr| kinds.is_new(midr)).count();
    assert_eq!(new, 6, "eight in all");
}
