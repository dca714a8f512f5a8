// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::acpi::sample::{self, Address as Gas};
use crate::uart::Register;

fn tables<'a>(spcr: Option<&'a [u8]>, dbg2: Option<&'a [u8]>) -> Tables<'a> {
    Tables {
        madt: &[],
        fadt: &[],
        spcr,
        dbg2,
        srat: None,
        mcfg: None,
        iort: None,
        devices: Default::default(),
    }
}

fn by_spcr(kind: u8, base: &Gas) -> Result<Console, Silent> {
    find(&tables(Some(&sample::spcr(kind, base)), None))
}

fn by_dbg2(devices: &[(u16, u16, Gas)]) -> Result<Console, Silent> {
    find(&tables(None, Some(&sample::dbg2(devices))))
}

fn pl011(start: u64) -> Console {
    Console {
        uart: Uart::PL011,
        registers: Region::new(start, 0x1000).expect("a region"),
    }
}

#[test]
fn knows_each_type_in_either_table() {
    let base = Gas::words(0x900_0000);
    for (kind, tty) in [
        (0x00u8, "ttyS"),
        (0x01, "ttyS"),
        (0x03, "ttyAMA"),
        (0x05, "ttyS"),
        (0x0d, "ttyAMA"),
        (0x0e, "ttyAMA"),
        (0x12, "ttyS"),
    ] {
        let console = by_spcr(kind, &base).expect("a console");
        assert_eq!(console.uart.tty(), tty.as_bytes(), "type {kind:#x}");
        assert_eq!(console.registers, pl011(0x900_0000).registers);
        let device = (SERIAL, kind.into(), base);
        assert_eq!(by_dbg2(&[device]), Ok(console), "DBG2, type {kind:#x}");
    }
    for kind in [0x02, 0x04, 0x0f, 0x14, 0xff] {
        let unknown = Err(Silent::Unknown(kind.into()));
        assert_eq!(by_spcr(kind, &base), unknown);
    }
}

/// Type, bits of a register, size of an access; the offset of the status, and the bytes of an access.
#[test]
fn a_16550_lies_as_its_address_says() {
    for (kind, bit_width, access_size, offset, width) in [
        (0x00, 8, 1, 5, 1),
        (0x00, 8, 0, 5, 1),
        (0x00, 0, 0, 5, 1),
        (0x00, 32, 3, 20, 4),
        (0x00, 32, 0, 20, 4),
        (0x01, 16, 2, 10, 2),
        (0x01, 32, 1, 20, 1),
        (0x12, 32, 1, 20, 1),
        (0x12, 8, 1, 5, 1),
        (0x12, 8, 3, 20, 4),
        (0x12, 16, 0, 10, 2),
        (0x05, 8, 1, 20, 4),
    ] {
        let base = Gas {
            space: 0,
            bit_width,
            access_size,
            address: 0x1000,
        };
        let console = by_spcr(kind, &base).expect("a console");
        let status = console.uart.layout().status;
        let case = (kind, bit_width, access_size);
        assert_eq!(status, Register { offset, width }, "{case:x?}");
    }
}

#[test]
fn refuses_registers_that_cannot_be() {
    let sound = Gas::words(0x900_0000);
    let with = |change: fn(&mut Gas)| {
        let mut base = sound;
        change(&mut base);
        (by_spcr(0x12, &base), base)
    };
    for (seen, base) in [
        with(|base| base.space = 1),
        with(|base| base.access_size = 4),
        with(|base| base.access_size = 0xff),
        with(|base| base.address = 0x900_0002),
        with(|base| base.address = u64::MAX - 3),
    ] {
        let wrong = Silent::Registers {
            address: base.address,
            space: base.space,
        };
        assert_eq!(seen, Err(wrong), "{base:x?}");
    }
    assert_eq!(with(|base| base.address = 0).0, Err(Silent::Unnamed));
}

#[test]
fn takes_the_dbg2_where_the_spcr_is_no_use() {
    let unknown = sample::spcr(2, &Gas::words(0x900_0000));
    let off = sample::spcr(3, &Gas::words(0));
    let sound = sample::spcr(3, &Gas::words(0x900_0000));
    let dbg2 = sample::dbg2(&[(SERIAL, 3, Gas::words(0xa00_0000))]);
    let find = |spcr, dbg2| find(&tables(spcr, dbg2));
    assert_eq!(find(Some(&sound), Some(&dbg2)), Ok(pl011(0x900_0000)));
    for spcr in [None, Some(unknown.as_slice()), Some(off.as_slice())] {
        assert_eq!(find(spcr, Some(&dbg2)), Ok(pl011(0xa00_0000)));
    }
    assert_eq!(find(Some(&unknown), None), Err(Silent::Unknown(2)));
    assert_eq!(find(None, None), Err(Silent::Unnamed));
}

#[test]
fn takes_the_first_serial_port_of_the_dbg2() {
    let usb = (0x8002, 0, Gas::words(0x700_0000));
    let serial = |address| (SERIAL, 3, Gas::words(address));
    let seen = by_dbg2(&[usb, serial(0x900_0000), serial(0xa00_0000)]);
    assert_eq!(seen, Ok(pl011(0x900_0000)));
    assert_eq!(by_dbg2(&[usb]), Err(Silent::Unnamed));
    assert_eq!(by_dbg2(&[]), Err(Silent::Unnamed));
}

#[test]
fn tables_that_end_too_early_name_nothing() {
    let spcr = sample::spcr(3, &Gas::words(0x900_0000));
    for length in 0..52 {
        let seen = find(&tables(Some(&spcr[..length]), None));
        assert_eq!(seen, Err(Silent::Unnamed), "SPCR of {length} bytes");
    }
    let mut dbg2 = sample::dbg2(&[(SERIAL, 3, Gas::words(0x900_0000))]);
    for length in 0..dbg2.len() {
        let seen = find(&tables(None, Some(&dbg2[..length])));
        assert_eq!(seen, Err(Silent::Unnamed), "DBG2 of {length} bytes");
    }
    // A device of no bytes, of very many.
    dbg2[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    dbg2[45..47].copy_from_slice(&[0; 2]);
    let seen = find(&tables(None, Some(&dbg2)));
    assert_eq!(seen, Err(Silent::Unnamed));
    dbg2[36..40].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(find(&tables(None, Some(&dbg2))), Err(Silent::Unnamed));
}
