// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::acpi::sample::fadt;

#[test]
fn reads_psci_and_its_conduit() {
    for (flags, expected) in [
        (0, None),
        (1, Some(Conduit::Smc)),
        (2, None),
        (3, Some(Conduit::Hvc)),
        (0xfffd, Some(Conduit::Smc)),
    ] {
        let expected = expected.map(|conduit| Psci {
            conduit,
            version: PsciVersion::V0_2,
        });
        assert_eq!(psci(&fadt(6, 3, flags)), Ok(expected), "flags {flags:#x}");
    }
}

#[test]
fn refuses_a_table_that_is_too_old_or_too_short() {
    for (major, minor, is_good) in [
        (5, 1, true),
        (5, 0x11, true),
        (5, 0x10, false),
        (5, 0, false),
        (4, 9, false),
        (6, 0, true),
    ] {
        let read = psci(&fadt(major, minor, 1));
        let old = AcpiError::Fadt {
            major,
            minor: minor & 0xf,
            length: 276,
        };
        let seen = read.map(|psci| psci.is_some());
        assert_eq!(seen, if is_good { Ok(true) } else { Err(old) });
    }
    let table = fadt(6, 3, 1);
    for length in 0..=130 {
        let error = AcpiError::Fadt {
            major: if length > 8 { 6 } else { 0 },
            minor: 0,
            length,
        };
        assert_eq!(psci(&table[..length]), Err(error));
    }
}

#[test]
fn the_dsdt_is_where_the_wide_address_is_if_there_is_one() {
    let mut table = fadt(6, 0, 1);
    assert_eq!(dsdt(&table), None);
    table[40..44].copy_from_slice(&0x1000_u32.to_le_bytes());
    assert_eq!(dsdt(&table), Some(0x1000));
    table[140..148].copy_from_slice(&0x12_0000_2000_u64.to_le_bytes());
    assert_eq!(dsdt(&table), Some(0x12_0000_2000));
    assert_eq!(dsdt(&table[..100]), Some(0x1000));
}
