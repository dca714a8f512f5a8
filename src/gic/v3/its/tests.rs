// SPDX-License-Identifier: Apache-2.0

use super::{Frame, FrameError};
use crate::arch::fake::mmio;
use crate::gic::fake::{V3, its};
use crate::gic::v3::GicV3;
use baton_core::hw_error::HwError;

/// An ITS whose tables and command queue a kernel has given it.
fn used() -> (V3, GicV3) {
    let fake = V3::new(&[0], 0);
    let base = fake.its.base();
    mmio::poke64(base + 0x80, 1 << 63 | 0x4567_8000 | 0xf);
    mmio::poke64(base + 0x88, 0x40);
    mmio::poke64(base + 0x90, 0x20);
    for number in 0..8 {
        // Valid, Type, Entry_Size, address.
        mmio::poke64(
            base + 0x100 + 8 * number,
            1 << 63 | 1 << 56 | 7 << 48 | 0x5000_0000,
        );
    }
    let gic = fake.gic();
    (fake, gic)
}

#[test]
fn it_is_off_and_has_no_tables() {
    let (fake, gic) = used();
    assert_eq!(gic.its[0].lock().reset(), Ok(()));
    let base = fake.its.base();
    // 12.19.5: Quiescent is 1 when it is disabled and idle; Enabled resets to 0.
    assert_eq!(mmio::peek(base), 1 << 31, "GITS_CTLR");
    assert_eq!(mmio::peek64(base + 0x80), 0, "GITS_CBASER");
    assert_eq!(mmio::peek64(base + 0x88), 0, "GITS_CWRITER");
    assert_eq!(mmio::peek64(base + 0x90), 0, "GITS_CREADR");
    for number in 0..8 {
        // Type and Entry_Size are read-only.
        let seen = mmio::peek64(base + 0x100 + 8 * number);
        assert_eq!(seen, 1 << 56 | 7 << 48, "GITS_BASER{number}");
    }
}

#[test]
fn its_tables_stay_while_it_may_use_them() {
    let (fake, gic) = used();
    // Never quiescent.
    mmio::on_read(fake.its.base()..fake.its.base() + 4, |_, value| {
        value & !(1 << 31)
    });
    let result = gic.its[0].lock().reset();
    assert!(
        matches!(
            result,
            Err(HwError::Timeout {
                register: "GITS_CTLR",
                ..
            })
        ),
        "seen {result:?}"
    );
    assert_eq!(mmio::peek64(fake.its.base() + 0x80) >> 63, 1, "GITS_CBASER");
}

#[test]
fn a_register_that_keeps_its_table_is_named() {
    for (offset, register) in [
        (0x80, "GITS_CBASER"),
        (0x90, "GITS_CREADR"),
        (0x138, "GITS_BASER<n>"),
    ] {
        let (fake, gic) = used();
        let address = fake.its.base() + offset;
        mmio::on_read(address..address + 8, |_, value| value | 1 << 63);
        match gic.its[0].lock().reset() {
            Err(HwError::Sticky { register: seen, .. }) => assert_eq!(seen, register),
            result => panic!("{register}: seen {result:?}"),
        }
    }
}

#[test]
fn it_says_where_its_tables_are() {
    let (_fake, gic) = used();
    let now = gic.its[0].lock().translations();
    assert!(now.enabled && !now.quiescent);
    assert_eq!(now.cbaser, 1 << 63 | 0x4567_8000 | 0xf);
    assert_eq!(now.basers, [1 << 63 | 1 << 56 | 7 << 48 | 0x5000_0000; 8]);
}

#[test]
fn what_is_no_its_is_refused() {
    let memory = its();
    mmio::poke(memory.base() + 0xffe8, 0x2b);
    // SAFETY: It is memory.
    let result = unsafe { Frame::new(memory.base()) }.map(|_| ());
    let base = memory.base();
    assert_eq!(result, Err(FrameError::NotV3 { base, revision: 2 }));
}
