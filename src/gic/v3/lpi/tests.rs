// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::arch::fake::mmio;
use crate::gic::fake::{self, CES, PLPIS, V3, VLPI_BASE, VLPIS};
use crate::gic::v3::GicV3;

const ENABLE: u32 = 1;
const TABLES: LpiTables = LpiTables {
    property: 0x4001_0000,
    pending: 0x4002_0000,
    id_bits: 16,
    coherent: true,
};

/// A redistributor of a GICv4 on whose tables a kernel runs.
fn used() -> (V3, GicV3) {
    used_as(PLPIS | VLPIS)
}

/// The same, with `typer`.
fn used_as(typer: u64) -> (V3, GicV3) {
    let fake = V3::new(&[0], typer);
    let base = fake.frame(0);
    // EnableLPIs, and the disables of interrupts for any CPU.
    mmio::poke(base, CES | ENABLE | 7 << 24);
    mmio::poke64(base + 0x70, 0x4567_8000 | 15);
    mmio::poke64(base + 0x78, 0x4568_0000);
    mmio::poke64(base + VLPI_BASE + 0x70, 1 << 63 | 0x4569_0000);
    mmio::poke64(base + VLPI_BASE + 0x78, 1 << 63 | 0x456a_0000);
    let gic = fake.gic();
    (fake, gic)
}

fn reset(gic: &GicV3) -> Result<(), HwError> {
    gic.frames.of(0).expect("one CPU").lock().reset_lpis()
}

#[test]
fn no_table_is_named_and_no_lpi_comes() {
    let (fake, gic) = used();
    assert_eq!(reset(&gic), Ok(()));
    let base = fake.frame(0);
    // 12.11.4: EnableLPIs and DPG<n> reset to 0, CES is read-only.
    assert_eq!(mmio::peek(base), CES, "GICR_CTLR");
    for (register, offset) in [
        ("GICR_PROPBASER", 0x70),
        ("GICR_PENDBASER", 0x78),
        ("GICR_VPROPBASER", VLPI_BASE + 0x70),
        ("GICR_VPENDBASER", VLPI_BASE + 0x78),
    ] {
        assert_eq!(mmio::peek64(base + offset), 0, "{register}");
    }
}

#[test]
fn what_does_not_take_is_named() {
    for (offset, bit, register) in [
        (0, 0, "GICR_CTLR"),
        (0x70, 16, "GICR_PROPBASER"),
        (0x78, 16, "GICR_PENDBASER"),
        // Valid.
        (VLPI_BASE + 0x70, 63, "GICR_VPROPBASER"),
    ] {
        let (fake, gic) = used();
        let address = fake.frame(0) + offset;
        mmio::on_read(address..address + 4, move |_, value| value | 1 << bit);
        match reset(&gic) {
            Err(HwError::Sticky { register: seen, .. }) => assert_eq!(seen, register),
            result => panic!("{register}: seen {result:?}"),
        }
    }
}

#[test]
fn tables_of_lpis_that_stay_on_are_not_touched() {
    let (fake, gic) = used();
    mmio::stick(fake.frame(0), ENABLE);
    assert!(reset(&gic).is_err());
    let seen = mmio::peek64(fake.frame(0) + 0x70);
    assert_eq!(seen, 0x4567_8000 | 15, "GICR_PROPBASER");
}

#[test]
fn a_virtual_cpu_that_stays_resident_ends_in_a_timeout() {
    let (fake, gic) = used();
    let address = fake.frame(0) + VLPI_BASE + 0x78;
    // Dirty.
    mmio::on_read(address..address + 8, |_, value| value | 1 << 60);
    let result = reset(&gic);
    assert!(
        matches!(
            result,
            Err(HwError::Timeout {
                register: "GICR_VPENDBASER",
                ..
            })
        ),
        "seen {result:?}"
    );
    let vpropbaser = mmio::peek64(fake.frame(0) + VLPI_BASE + 0x70);
    assert_eq!(vpropbaser, 1 << 63 | 0x4569_0000, "GICR_VPROPBASER, in use");
    // The physical ones are off all the same.
    assert_eq!(mmio::peek(fake.frame(0)), CES, "GICR_CTLR");
}

/// What is written to `GICR_VPENDBASER` first, by a redistributor with `typer`, of a resident vPE.
fn leaves_by(typer: u64) -> u64 {
    let (fake, gic) = used_as(typer);
    let vpendbaser = fake.frame(0) + VLPI_BASE + 0x78;
    // Valid, Doorbell, number 5.
    mmio::poke64(vpendbaser, 3 << 62 | 5);
    assert_eq!(reset(&gic), Ok(()));
    assert_eq!(mmio::peek64(vpendbaser), 0, "GICR_VPENDBASER");
    assert_eq!(mmio::peek64(vpendbaser - 8), 0, "GICR_VPROPBASER");
    let writes = mmio::writes();
    let first = writes.iter().find(|(address, _)| *address == vpendbaser);
    first.expect("a write to GICR_VPENDBASER").1
}

#[test]
fn a_virtual_cpu_leaves_without_a_doorbell() {
    // 12.11.42: PendingLast; in GICv4.0 the other fields stay as Valid is cleared.
    assert_eq!(leaves_by(PLPIS | VLPIS | fake::RVPEID), 1 << 61);
    assert_eq!(leaves_by(PLPIS | VLPIS), 1 << 62 | 5);
}

/// A redistributor without `CES`; EnableLPIs stays on once it is.
fn sticky() -> (V3, GicV3) {
    let fake = V3::new(&[0], PLPIS);
    let base = fake.frame(0);
    mmio::poke(base, 0);
    mmio::on_write(base..base + 4, |address, value| {
        u64::from(mmio::peek(address) & ENABLE) | value & u64::from(ENABLE)
    });
    let gic = fake.gic();
    (fake, gic)
}

fn preset(gic: &GicV3, keep: bool) -> Result<bool, HwError> {
    let mut frame = gic.frames.of(0).expect("one CPU").lock();
    // SAFETY: No GIC uses the tables.
    unsafe { frame.preset_lpis(TABLES, keep) }
}

#[test]
fn tables_of_a_gic_that_is_not_coherent_are_not_cached() {
    let (fake, gic) = sticky();
    let tables = LpiTables {
        coherent: false,
        ..TABLES
    };
    let mut frame = gic.frames.of(0).expect("one CPU").lock();
    // SAFETY: No GIC uses the tables.
    assert_eq!(unsafe { frame.preset_lpis(tables, false) }, Ok(true));
    let base = fake.frame(0);
    // 12.11.33: non-shareable (0), Normal inner Non-cacheable (1).
    assert_eq!(mmio::peek64(base + 0x70), 0x4001_0000 | 1 << 7 | 15);
    assert_eq!(mmio::peek64(base + 0x78), 0x4002_0000 | 1 << 7 | 1 << 62);
}

#[test]
fn lpis_that_stay_on_get_tables_of_the_monitors() {
    let (fake, gic) = sticky();
    assert_eq!(preset(&gic, false), Ok(true));
    let base = fake.frame(0);
    assert_eq!(mmio::peek(base), ENABLE, "GICR_CTLR");
    // 12.11.33 and 12.11.31: IDbits is one less than the number; inner shareable (1), inner
    // write-back, read and write allocate (7); PTZ.
    let cached = 1 << 10 | 7 << 7;
    assert_eq!(mmio::peek64(base + 0x70), 0x4001_0000 | cached | 15);
    let zero = 1 << 62;
    assert_eq!(mmio::peek64(base + 0x78), 0x4002_0000 | cached | zero);
}

#[test]
fn lpis_that_can_be_switched_off_are_left_alone() {
    let fake = V3::new(&[0], PLPIS);
    let gic = fake.gic();
    assert_eq!(preset(&gic, false), Ok(false));
    assert_eq!(mmio::writes(), [], "CES says that they can");
}

#[test]
fn lpis_that_are_kept_stay_on_through_a_reset() {
    let fake = V3::new(&[0], PLPIS);
    let gic = fake.gic();
    assert_eq!(preset(&gic, true), Ok(true));
    assert_eq!(reset(&gic), Ok(()));
    assert_eq!(mmio::peek(fake.frame(0)), CES | ENABLE, "GICR_CTLR");
}

#[test]
fn the_cache_of_kept_properties_is_dropped() {
    let (fake, gic) = sticky();
    assert_eq!(preset(&gic, false), Ok(true));
    let base = fake.frame(0);
    // GICR_CTLR.IR: GICR_INVALLR is there.
    mmio::stick(base, 1 << 2);
    let frame = gic.frames.of(0).expect("one CPU");
    assert_eq!(frame.lock().forget_properties(), Ok(()));
    assert_eq!(
        mmio::writes().last(),
        Some(&(base + 0xb0, 0)),
        "GICR_INVALLR"
    );

    // GICR_SYNCR.Busy.
    mmio::stick(base + 0xc0, 1);
    let result = frame.lock().forget_properties();
    assert!(
        matches!(
            result,
            Err(HwError::Timeout {
                register: "GICR_SYNCR",
                ..
            })
        ),
        "seen {result:?}"
    );
}
