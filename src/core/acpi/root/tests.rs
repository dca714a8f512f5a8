// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::acpi::sample::{self, Madt, RSDP, Sample, fadt, mend, rsdp, table};
use alloc::vec::Vec;

/// SSDT, FADT, MADT: things 2 to 4 of a sample.
fn tables() -> Vec<Vec<u8>> {
    alloc::vec![
        table(b"SSDT", 2, &[0; 7]),
        fadt(6, 3, 1),
        Madt::new(4).table(),
    ]
}

fn find(sample: &Sample) -> Result<(&[u8], &[u8]), AcpiError> {
    Tables::find(sample, RSDP).map(|tables| (tables.madt, tables.fadt))
}

fn error(sample: &Sample) -> AcpiError {
    find(sample).expect_err("an error")
}

const MADT: Signature = Signature(*b"APIC");

#[test]
fn finds_tables_by_xsdt_and_by_rsdt() {
    let tables = tables();
    for sample in [Sample::xsdt(&tables), Sample::rsdt(&tables)] {
        let expected = Ok((tables[2].as_slice(), tables[1].as_slice()));
        assert_eq!(find(&sample), expected);
        let found = Tables::find(&sample, RSDP).expect("tables");
        assert_eq!((found.spcr, found.dbg2), (None, None));
    }
}

#[test]
fn takes_the_rsdt_where_there_is_no_xsdt() {
    let mut sample = Sample::rsdt(&tables());
    sample.put(0, &rsdp(2, Sample::address(1) as u32, 0));
    assert!(find(&sample).is_ok());
}

#[test]
fn finds_any_table_by_its_signature() {
    let sample = Sample::xsdt(&tables());
    let find = |signature: &[u8; 4]| find_table(&sample, RSDP, *signature);
    assert_eq!(find(b"SSDT"), Ok(Some(Sample::address(2))));
    assert_eq!(find(b"APIC"), Ok(Some(Sample::address(4))));
    assert_eq!(find(b"BATN"), Ok(None));
}

#[test]
fn takes_the_first_of_two_and_passes_over_what_cannot_be_read() {
    let mut tables = tables();
    tables.push(Madt::new(5).table());
    let mut sample = Sample::xsdt(&tables);
    let first = Ok(Some(Sample::address(4)));
    assert_eq!(find_table(&sample, RSDP, *b"APIC"), first);
    let addresses = [0, 1 << 40, u64::MAX, RSDP - 1, Sample::address(4)];
    let addresses: Vec<u8> = addresses.iter().flat_map(|a| a.to_le_bytes()).collect();
    sample.put(1, &table(b"XSDT", 1, &addresses));
    assert_eq!(find_table(&sample, RSDP, *b"APIC"), first);
    assert_eq!(
        error(&sample),
        AcpiError::Missing(Signature(*b"FACP")),
        "the MADT is found first"
    );
}

#[test]
fn refuses_what_is_no_rsdp() {
    let sound = Sample::xsdt(&tables());
    let elsewhere = Tables::find(&sound, 0x1000).expect_err("no memory there");
    assert_eq!(elsewhere, AcpiError::NoRsdp(0x1000));
    let with = |change: fn(&mut Vec<u8>)| {
        let mut sample = sound.clone();
        let mut bytes = rsdp(2, 0, Sample::address(1));
        change(&mut bytes);
        sample.put(0, &bytes);
        error(&sample)
    };
    assert_eq!(with(|rsdp| rsdp[0] = b'X'), AcpiError::NoRsdp(RSDP));
    let sum = |sum| AcpiError::RsdpChecksum { address: RSDP, sum };
    assert_eq!(with(|rsdp| rsdp[9] += 3), sum(3), "in the first 20 bytes");
    assert_eq!(with(|rsdp| rsdp[33] += 5), sum(5), "behind them");
    let length = |length| AcpiError::RsdpLength {
        address: RSDP,
        length,
    };
    assert_eq!(with(|rsdp| rsdp[20] = 35), length(35));
    assert_eq!(with(|rsdp| rsdp[23] = 1), length(0x0100_0024));
    let mut short = sound.clone();
    short.bytes.truncate(30);
    assert_eq!(error(&short), AcpiError::NoRsdp(RSDP), "its end is missing");
}

#[test]
fn refuses_a_table_that_is_broken() {
    let tables = tables();
    let with = |change: fn(&mut Vec<u8>)| {
        let mut sample = Sample::xsdt(&tables);
        let mut bytes = tables[2].clone();
        change(&mut bytes);
        sample.put(4, &bytes);
        error(&sample)
    };
    let address = Sample::address(4);
    let checksum = AcpiError::Checksum {
        table: MADT,
        address,
        sum: 1,
    };
    assert_eq!(with(|madt| madt[40] += 1), checksum);
    let length = |length| AcpiError::Length {
        table: MADT,
        address,
        length,
    };
    assert_eq!(with(|madt| madt[4] = 35), length(35));
    assert_eq!(with(|madt| madt[7] = 1), length(0x0100_002c));
    let unreadable = AcpiError::Unreadable {
        table: MADT,
        address,
        length: 0xff2c,
    };
    assert_eq!(with(|madt| madt[5] = 0xff), unreadable, "memory ends in it");
    let missing = AcpiError::Missing(MADT);
    assert_eq!(with(|madt| madt[0] = b'E'), missing);
}

#[test]
fn refuses_a_root_that_is_broken() {
    let mut sample = Sample::xsdt(&tables());
    let address = Sample::address(1);
    let xsdt = Signature(*b"XSDT");
    sample.put(1, &table(b"RSDT", 1, &[0; 8]));
    let other = AcpiError::OtherTable {
        table: xsdt,
        found: Signature(*b"RSDT"),
        address,
    };
    assert_eq!(error(&sample), other);
    assert_eq!(
        other.to_string(),
        "no XSDT at 0xbf010000, but RSDT",
        "an error says which"
    );
    let many = AcpiError::TooMany {
        table: xsdt,
        count: 1025,
    };
    sample.put(1, &table(b"XSDT", 1, &[0; 8 * 1025]));
    assert_eq!(error(&sample), many);
    sample.put(0, &rsdp(2, 0, 1 << 50));
    let unreadable = AcpiError::Unreadable {
        table: xsdt,
        address: 1 << 50,
        length: 36,
    };
    assert_eq!(error(&sample), unreadable);
    sample.put(0, &rsdp(2, 0, 0));
    let none = AcpiError::Unreadable {
        table: Signature(*b"RSDT"),
        address: 0,
        length: 36,
    };
    assert_eq!(error(&sample), none, "it names neither");
}

#[test]
fn does_without_a_broken_spcr() {
    let mut tables = tables();
    let mut spcr = sample::spcr(3, &sample::Address::words(0x900_0000));
    tables.push(spcr.clone());
    let sample = Sample::xsdt(&tables);
    let found = Tables::find(&sample, RSDP).expect("tables");
    assert_eq!(found.spcr, Some(spcr.as_slice()));
    spcr[44] ^= 1;
    *tables.last_mut().expect("the SPCR") = spcr.clone();
    let sample = Sample::xsdt(&tables);
    assert_eq!(Tables::find(&sample, RSDP).expect("tables").spcr, None);
    mend(&mut spcr, 9);
    *tables.last_mut().expect("the SPCR") = spcr;
    let sample = Sample::xsdt(&tables);
    assert!(Tables::find(&sample, RSDP).expect("tables").spcr.is_some());
}
