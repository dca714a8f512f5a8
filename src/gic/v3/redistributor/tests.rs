// SPDX-License-Identifier: Apache-2.0

use crate::arch::fake::mmio;
use crate::gic::fake::{SGI_BASE, V3};
use crate::gic::v3::GicV3;
use baton_core::hw_error::HwError;
use std::ops::Range;

/// SGIs, PPIs and 64 extended PPIs (`GICR_TYPER.PPInum` is 2): name, offsets from SGI_base, and
/// what is there after a reset (IHI 0069H.b, 12.11).
const AFTER_RESET: [(&str, Range<usize>, u32); 11] = [
    ("GICR_IGROUPR<n>", 0x080..0x08c, 0),
    ("GICR_ISENABLER<n>", 0x100..0x10c, 0),
    ("GICR_ICENABLER<n>", 0x180..0x18c, 0),
    ("GICR_ISPENDR<n>", 0x200..0x20c, 0),
    ("GICR_ICPENDR<n>", 0x280..0x28c, 0),
    ("GICR_ISACTIVER<n>", 0x300..0x30c, 0),
    ("GICR_ICACTIVER<n>", 0x380..0x38c, 0),
    ("GICR_IPRIORITYR<n>", 0x400..0x460, 0),
    // Not the first: SGIs are edges.
    ("GICR_ICFGR<n>", 0xc04..0xc18, 0),
    ("GICR_IGRPMODR<n>", 0xd00..0xd0c, 0),
    ("GICR_NSACR", 0xe00..0xe04, 0),
];
/// `GICR_INMIR<n>`: the distributor of the fake has NMIs.
const INMIR: Range<usize> = 0xf80..0xf8c;

fn used() -> (V3, GicV3) {
    let fake = V3::new(&[0], 2 << 27);
    let gic = fake.gic();
    for (_, offsets, _) in AFTER_RESET {
        fake.gicr
            .fill(SGI_BASE + offsets.start..SGI_BASE + offsets.end);
    }
    fake.gicr.fill(SGI_BASE + INMIR.start..SGI_BASE + INMIR.end);
    (fake, gic)
}

fn reset(gic: &GicV3) -> Result<(), HwError> {
    gic.frames.of(0).expect("one CPU").lock().reset_private()
}

#[test]
fn nothing_of_the_old_kernel_is_left() {
    let (fake, gic) = used();
    assert_eq!(reset(&gic), Ok(()));
    for (register, offsets, expected) in AFTER_RESET {
        let offsets = SGI_BASE + offsets.start..SGI_BASE + offsets.end;
        fake.gicr.expect(register, offsets, expected);
    }
    let nmi = SGI_BASE + INMIR.start..SGI_BASE + INMIR.end;
    fake.gicr.expect("GICR_INMIR<n>", nmi, 0);
}

#[test]
fn what_stays_enabled_active_grouped_or_of_low_priority_is_named() {
    for (offset, register) in [
        (0x108, "GICR_ISENABLER"),
        (0x300, "GICR_ISACTIVER"),
        (0x084, "GICR_IGROUPR"),
        (0x45c, "GICR_IPRIORITYR"),
    ] {
        let (fake, gic) = used();
        mmio::stick(fake.gicr.base() + SGI_BASE + offset, 1);
        match reset(&gic) {
            Err(HwError::Sticky { register: seen, .. }) => assert_eq!(seen, register),
            result => panic!("{register}: seen {result:?}"),
        }
    }
}

#[test]
fn a_write_without_effect_ends_in_a_timeout() {
    let (fake, gic) = used();
    // GICR_CTLR.RWP.
    mmio::stick(fake.gicr.base(), 1 << 3);
    let result = reset(&gic);
    assert!(
        matches!(
            result,
            Err(HwError::Timeout {
                register: "GICR_CTLR",
                ..
            })
        ),
        "seen {result:?}"
    );
}

#[test]
fn a_kick_that_came_late_is_dropped() {
    let fake = V3::new(&[0], 0);
    let gic = fake.gic();
    let pending = SGI_BASE + 0x200..SGI_BASE + 0x204;
    fake.gicr.fill(pending.clone());
    fake.gicr.fill(SGI_BASE + 0x280..SGI_BASE + 0x284);
    assert_eq!(
        gic.frames.of(0).expect("one CPU").lock().drop_sgis(),
        Ok(())
    );
    // PPIs stay: their devices are quiet, or signal a level.
    fake.gicr.expect("GICR_ISPENDR0", pending, 0xffff_0000);
}

#[test]
fn an_sgi_that_stays_pending_is_named() {
    let fake = V3::new(&[0], 0);
    let gic = fake.gic();
    mmio::stick(fake.gicr.base() + SGI_BASE + 0x200, 1 << 15);
    assert_eq!(
        gic.frames.of(0).expect("one CPU").lock().drop_sgis(),
        Err(HwError::Sticky {
            register: "GICR_ISPENDR0",
            wanted: 0,
            found: 1 << 15
        })
    );
}

#[test]
fn a_kick_from_outside_passes_whatever_the_guest_chose() {
    let fake = V3::new(&[0], 0);
    let gic = fake.gic();
    let sgi = SGI_BASE;
    fake.gicr.fill(sgi + 0x400..sgi + 0x404);
    let frame = gic.frames.of(0).expect("one CPU");
    assert!(frame.lock().kick_from_outside(1, || true));
    fake.gicr
        .expect("GICR_IPRIORITYR0", sgi + 0x400..sgi + 0x404, 0xffff_00ff);
    fake.gicr
        .expect("GICR_IGROUPR0", sgi + 0x80..sgi + 0x84, 1 << 1);
    fake.gicr
        .expect("GICR_ISENABLER0", sgi + 0x100..sgi + 0x104, 1 << 1);
}

#[test]
fn a_cpu_that_has_come_is_not_kicked_from_outside() {
    let fake = V3::new(&[0], 0);
    let gic = fake.gic();
    let frame = gic.frames.of(0).expect("one CPU");
    assert!(!frame.lock().kick_from_outside(1, || false));
    assert_eq!(mmio::writes(), []);
}

/// Priority, group and enable of the SGIs.
fn sgis(fake: &V3) -> [u32; 3] {
    [0x400, 0x080, 0x100].map(|offset| mmio::peek(fake.gicr.base() + SGI_BASE + offset))
}

#[test]
fn a_kick_from_outside_is_put_back() {
    let fake = V3::new(&[0], 2 << 27);
    let gic = fake.gic();
    let mut frame = gic.frames.of(0).expect("one CPU").lock();
    let guests = [0xa0a0_a0a0, 0, 0];
    mmio::poke(fake.gicr.base() + SGI_BASE + 0x400, guests[0]);
    assert!(!frame.kick_from_outside(0, || false), "it is not awaited");
    assert_eq!(sgis(&fake), guests, "nothing was done");
    for _ in 0..2 {
        assert!(frame.kick_from_outside(0, || true));
        assert_eq!(sgis(&fake), [0xa0a0_a000, 1, 1], "priority, group, enable");
    }
    frame.put_back(0);
    assert_eq!(sgis(&fake), guests, "priority, group, enable");
    mmio::poke(fake.gicr.base() + SGI_BASE + 0x400, 0);
    frame.put_back(0);
    assert_eq!(sgis(&fake)[0], 0, "it was put back already");
}

#[test]
fn an_sgi_that_the_guest_has_enabled_stays_so() {
    let fake = V3::new(&[0], 2 << 27);
    let gic = fake.gic();
    let mut frame = gic.frames.of(0).expect("one CPU").lock();
    for offset in [0x080, 0x100] {
        mmio::poke(fake.gicr.base() + SGI_BASE + offset, 1);
    }
    assert!(frame.kick_from_outside(0, || true));
    frame.put_back(0);
    assert_eq!(sgis(&fake), [0, 1, 1], "priority, group, enable");
}
