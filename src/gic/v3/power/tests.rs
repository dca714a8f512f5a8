// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::arch::fake::mmio;
use crate::gic::fake::{GIC_600, PLPIS, V3, gate};
use crate::gic::v3::GicV3;

/// `GICR_PWRR`, `GICR_WAKER`.
const PWRR: usize = 0x24;
const WAKER: usize = 0x14;

/// A GIC-600 with two CPUs, whose redistributors are off.
fn off() -> (V3, GicV3) {
    let fake = V3::new(&[0, 1], PLPIS);
    for number in 0..2 {
        gate(fake.frame(number));
    }
    let gic = fake.gic();
    (fake, gic)
}

fn has_power(gic: &GicV3) -> [bool; 2] {
    [0, 1].map(|cpu| gic.frames.of(cpu).expect("two CPUs").lock().has_power())
}

#[test]
fn a_cpu_brings_its_own_redistributor_up() {
    let (fake, gic) = off();
    assert_eq!(has_power(&gic), [false, false]);
    assert_eq!(gic.cpu_online(1), Ok(()));
    assert_eq!(has_power(&gic), [false, true]);
    assert_eq!(mmio::writes(), [(fake.frame(1) + PWRR, 0)]);
}

#[test]
fn a_group_on_its_way_is_waited_for() {
    let (fake, gic) = off();
    let pwrr = fake.frame(1) + PWRR;
    // RDGPD without RDGPO: the group is going down. Whatever is written is ignored till it is.
    mmio::poke(pwrr, 1 | 1 << 2);
    mmio::on_write(pwrr..pwrr + 4, move |_, value| {
        assert_eq!(mmio::peek(pwrr) & 0xc, 0xc, "GICR_PWRR as it is written");
        value & 1
    });
    let mut polls = 0;
    mmio::on_read(pwrr..pwrr + 4, move |_, value| {
        polls += 1;
        if polls == 4 {
            mmio::poke(pwrr, 1 | 3 << 2);
        }
        if polls < 4 {
            value
        } else {
            mmio::peek(pwrr).into()
        }
    });
    assert_eq!(gic.cpu_online(1), Ok(()));
    assert_eq!(has_power(&gic), [false, true]);
}

#[test]
fn a_redistributor_that_stays_off_ends_in_a_timeout() {
    let (fake, gic) = off();
    mmio::stick(fake.frame(0) + PWRR, 1);
    let result = gic.cpu_online(0);
    assert!(
        matches!(
            result,
            Err(HwError::Timeout {
                register: "GICR_PWRR",
                ..
            })
        ),
        "seen {result:?}"
    );
}

#[test]
fn another_gic_has_no_such_register() {
    let (fake, gic) = off();
    // A GIC-500's IIDR.
    mmio::poke(fake.frame(0) + 0x4, 0x43b);
    assert_eq!(gic.cpu_online(0), Ok(()));
    assert_eq!(mmio::writes(), []);
    // The variant and the revision of a GIC-600 do not matter.
    mmio::poke(fake.frame(0) + 0x4, GIC_600 | 0x1_7000);
    assert_eq!(gic.cpu_online(0), Ok(()));
    assert_eq!(mmio::writes(), [(fake.frame(0) + PWRR, 0)]);
}

#[test]
fn later_ones_are_as_a_gic_600() {
    // The product IDs of a GIC-600AE and a GIC-700.
    for product in [3, 4] {
        let (fake, gic) = off();
        mmio::poke(fake.frame(0) + 0x4, product << 24 | 0x43b);
        assert_eq!(gic.cpu_online(0), Ok(()));
        assert_eq!(mmio::writes(), [(fake.frame(0) + PWRR, 0)], "{product}");
    }
}

#[test]
fn a_redistributor_without_power_holds_no_lpis() {
    let (fake, gic) = off();
    mmio::stick(fake.frame(1), 1);
    assert!(!gic.has_lpis_on());
    assert_eq!(gic.cpu_online(1), Ok(()));
    assert!(gic.has_lpis_on());
}

#[test]
fn a_redistributor_wakes() {
    let (fake, gic) = off();
    let waker = fake.frame(0) + WAKER;
    mmio::poke(waker, 6);
    // ChildrenAsleep follows ProcessorSleep.
    mmio::on_write(waker..waker + 4, |_, value| value & 2 | (value & 2) << 1);
    let frame = gic.frames.of(0).expect("two CPUs");
    assert_eq!(frame.lock().wake(), Ok(()));
    assert_eq!(mmio::peek(waker), 0, "GICR_WAKER");

    mmio::stick(waker, 4);
    let result = frame.lock().wake();
    assert!(
        matches!(
            result,
            Err(HwError::Timeout {
                register: "GICR_WAKER",
                ..
            })
        ),
        "seen {result:?}"
    );
}
