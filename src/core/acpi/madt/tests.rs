// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::acpi::sample::{Cpu, Madt};
use alloc::vec::Vec;

fn read(madt: &Madt) -> Result<Vec<Entry>, AcpiError> {
    entries(&madt.table()).collect()
}

#[test]
fn reads_a_gicc_of_each_length() {
    for length in [76, 80, 82, 96, 255] {
        let mut madt = Madt::new(4);
        madt.gicc(&Cpu {
            length,
            flags: 1,
            mpidr: 0x12_0003_0201,
            redistributor: 0x1_0080_0000,
            cpu_interface: 0x2c00_0000,
            virtual_cpu: [0x2c02_0000, 0x2c01_0000],
            parked: 0x8000_1000,
        });
        let expected = Gicc {
            enabled: true,
            online_capable: false,
            coherent: true,
            parked: 0x8000_1000,
            cpu_interface: 0x2c00_0000,
            virtual_cpu: 0x2c02_0000,
            hypervisor: 0x2c01_0000,
            redistributor: 0x1_0080_0000,
            mpidr: 0x12_0003_0201,
        };
        let seen = read(madt.gicd(1, 3));
        let gicd = Entry::Gicd {
            base: 1,
            version: 3,
        };
        assert_eq!(
            seen,
            Ok(alloc::vec![Entry::Gicc(expected), gicd]),
            "{length} bytes"
        );
    }
}

#[test]
fn a_cpu_is_enabled_or_can_be_brought_in() {
    for (flags, redistributor, expected) in [
        (0, 0, false),
        (1, 0, true),
        (1, 0x100_0000, true),
        (1 << 3, 0, true),
        (1 << 3, 0x100_0000, false),
        (1 << 1 | 1 << 2, 0, false),
    ] {
        let mut madt = Madt::new(6);
        madt.gicc(&Cpu {
            flags,
            redistributor,
            ..Cpu::new(0)
        });
        let seen = cpus(&madt.table()).count();
        assert_eq!(
            seen,
            usize::from(expected),
            "flags {flags:#x}, redistributor at {redistributor:#x}"
        );
    }
}

#[test]
fn reads_the_other_entries_and_passes_over_unknown_ones() {
    let mut madt = Madt::new(4);
    madt.gicd(0x800_0000, 0)
        .entry(0x0d, &[0; 22])
        .gicr(0, 0x80a_0000, 0xf6_0000)
        .entry(0x80, &[])
        .its(0, 0x808_0000)
        .its(0, 0x1_0808_0000);
    let its = |base| Entry::Its {
        base,
        coherent: true,
    };
    let expected = [
        Entry::Gicd {
            base: 0x800_0000,
            version: 0,
        },
        Entry::Other,
        Entry::Gicr {
            base: 0x80a_0000,
            length: 0xf6_0000,
            coherent: true,
        },
        Entry::Other,
        its(0x808_0000),
        its(0x1_0808_0000),
    ];
    assert_eq!(read(&madt), Ok(expected.to_vec()));
    assert_eq!(read(&Madt::new(4)), Ok(Vec::new()));
}

#[test]
fn revision_7_tells_whether_memory_is_coherent() {
    for (revision, expected) in [(6, true), (7, false)] {
        let mut madt = Madt::new(revision);
        madt.gicr(1, 0, 1).its(1, 0).gicc(&Cpu {
            flags: 1 << 4,
            ..Cpu::new(0)
        });
        let seen = read(&madt).expect("entries");
        let seen: Vec<_> = seen
            .iter()
            .map(|entry| match entry {
                Entry::Gicr { coherent, .. } | Entry::Its { coherent, .. } => *coherent,
                Entry::Gicc(gicc) => gicc.coherent,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(seen, [expected; 3], "revision {revision}");
    }
}

#[test]
fn refuses_entries_that_are_too_short_or_too_long() {
    for (kind, least) in [(0x0b, 76), (0x0c, 24), (0x0e, 16), (0x0f, 20), (0x77, 2)] {
        for length in 0..least {
            let mut table = Madt::new(4).gicd(0, 3).table();
            table.extend([kind, length]);
            table.extend([0; 80]);
            let expected = AcpiError::Entry {
                kind,
                offset: 68,
                length: length.into(),
            };
            let seen: Vec<_> = entries(&table).collect();
            assert_eq!(seen.len(), 2, "nothing behind the broken one");
            assert_eq!(seen[1], Err(expected));
        }
    }
    let whole = Madt::new(4).gicr(0, 0, 0).table();
    for end in 45..60 {
        let length = if end == 45 { 0 } else { 16 };
        let expected = AcpiError::Entry {
            kind: 0x0e,
            offset: 44,
            length,
        };
        let seen: Vec<_> = entries(&whole[..end]).collect();
        assert_eq!(seen, [Err(expected)], "a table of {end} bytes");
    }
    for end in 0..=44 {
        assert_eq!(entries(&whole[..end]).count(), 0, "a table of {end} bytes");
    }
}
