// SPDX-License-Identifier: Apache-2.0

use crate::arch::fake::mmio;
use crate::gic::fake::V3;
use crate::gic::v3::GicV3;
use baton_core::hw_error::HwError;
use std::ops::Range;
use std::vec::Vec;

const CPU: u64 = 0x1_0002;

/// What a distributor with 64 SPIs and 32 extended SPIs has for them: name, offsets, and what is
/// there after a reset (IHI 0069H.b, 12.9: "resets to 0", or zero where the value is UNKNOWN).
const AFTER_RESET: [(&str, Range<usize>, u32); 22] = [
    ("GICD_IGROUPR<n>", 0x084..0x08c, 0),
    ("GICD_ISENABLER<n>", 0x104..0x10c, 0),
    ("GICD_ICENABLER<n>", 0x184..0x18c, 0),
    ("GICD_ISPENDR<n>", 0x204..0x20c, 0),
    ("GICD_ICPENDR<n>", 0x284..0x28c, 0),
    ("GICD_ISACTIVER<n>", 0x304..0x30c, 0),
    ("GICD_ICACTIVER<n>", 0x384..0x38c, 0),
    ("GICD_IPRIORITYR<n>", 0x420..0x460, 0),
    ("GICD_ICFGR<n>", 0xc08..0xc18, 0),
    ("GICD_INMIR<n>", 0xf84..0xf8c, 0),
    ("GICD_IGROUPR<n>E", 0x1000..0x1004, 0),
    ("GICD_ISENABLER<n>E", 0x1200..0x1204, 0),
    ("GICD_ICENABLER<n>E", 0x1400..0x1404, 0),
    ("GICD_ISPENDR<n>E", 0x1600..0x1604, 0),
    ("GICD_ICPENDR<n>E", 0x1800..0x1804, 0),
    ("GICD_ISACTIVER<n>E", 0x1a00..0x1a04, 0),
    ("GICD_ICACTIVER<n>E", 0x1c00..0x1c04, 0),
    ("GICD_IPRIORITYR<n>E", 0x2000..0x2020, 0),
    ("GICD_ICFGR<n>E", 0x3000..0x3008, 0),
    ("GICD_INMIR<n>E", 0x3b00..0x3b04, 0),
    // The routes, a low and a high word each.
    ("GICD_IROUTER<n>", 0x6100..0x6300, 0),
    ("GICD_IROUTER<n>E", 0x8000..0x8100, 0),
];

/// A distributor in which a kernel has used all that it can.
fn used() -> (V3, GicV3) {
    let fake = V3::new(&[0], 0);
    let gic = fake.gic();
    for (_, offsets, _) in AFTER_RESET {
        fake.gicd.fill(offsets);
    }
    // GICD_CTLR: DS, ARE, both groups.
    mmio::poke(fake.gicd.base(), 1 << 6 | 1 << 4 | 3);
    (fake, gic)
}

/// One CPU alone resets all.
fn reset(gic: &GicV3, mpidr: u64) -> Result<(), HwError> {
    let quiet = gic.distributor.lock().quiesce(&gic.spis);
    quiet.and(gic.spis.reset_share(mpidr, 0, 1))
}

/// As [`reset`], whatever fails.
fn reset_all_the_same(gic: &GicV3) -> Result<(), HwError> {
    let quiet = gic.distributor.lock().quiesce(&gic.spis);
    let rest = gic.spis.reset_share(0, 0, 1);
    quiet.and(rest)
}

#[test]
fn nothing_of_the_old_kernel_is_left() {
    let (fake, gic) = used();
    assert_eq!(reset(&gic, 0), Ok(()));
    for (register, offsets, expected) in AFTER_RESET {
        fake.gicd.expect(register, offsets, expected);
    }
}

#[test]
fn groups_are_off_and_affinity_routing_stays() {
    let (fake, gic) = used();
    assert_eq!(reset(&gic, 0), Ok(()));
    // Clearing ARE is UNPREDICTABLE (12.9.4); DS is as it was.
    fake.gicd.expect("GICD_CTLR", 0..4, 1 << 6 | 1 << 4);
}

#[test]
fn interrupts_go_to_the_boot_cpu() {
    let (fake, gic) = used();
    let other_bits = 1 << 31 | 1 << 30;
    assert_eq!(reset(&gic, CPU | other_bits), Ok(()));
    expect_routes(&fake);
}

/// All routes lead to [`CPU`].
#[track_caller]
fn expect_routes(fake: &V3) {
    for route in (0x6100..0x6300).chain(0x8000..0x8100).step_by(8) {
        let seen = mmio::peek64(fake.gicd.base() + route);
        assert_eq!(seen, CPU, "route at {route:#x}");
    }
}

#[test]
fn what_stays_enabled_active_or_of_low_priority_is_named() {
    for (offset, register) in [
        (0x104, "GICD_ISENABLER<n>"),
        (0x308, "GICD_ISACTIVER<n>"),
        (0x45c, "GICD_IPRIORITYR<n>"),
        (0x1200, "GICD_ISENABLER<n>E"),
        (0x1a00, "GICD_ISACTIVER<n>E"),
        (0x201c, "GICD_IPRIORITYR<n>E"),
        (0x0, "GICD_CTLR"),
    ] {
        let (fake, gic) = used();
        mmio::stick(fake.gicd.base() + offset, 2);
        match reset(&gic, 0) {
            Err(HwError::Sticky { register: seen, .. }) => assert_eq!(seen, register),
            result => panic!("{register}: seen {result:?}"),
        }
    }
}

#[test]
fn a_write_without_effect_ends_in_a_timeout_and_the_rest_is_done() {
    let (fake, gic) = used();
    // GICD_CTLR.RWP.
    mmio::stick(fake.gicd.base(), 1 << 31);
    let result = reset_all_the_same(&gic);
    assert!(
        matches!(
            result,
            Err(HwError::Timeout {
                register: "GICD_CTLR",
                ..
            })
        ),
        "seen {result:?}"
    );
    for (register, offsets, expected) in AFTER_RESET {
        fake.gicd.expect(register, offsets, expected);
    }
}

#[test]
fn all_that_is_disabled_is_waited_for_once_and_before_the_rest() {
    let (fake, gic) = used();
    let base = fake.gicd.base();
    let looks = std::rc::Rc::new(std::cell::Cell::new(0));
    let seen = looks.clone();
    mmio::on_read(base..base + 4, move |_, value| {
        // The first look is for the bits that stay, and the second sees the writes under way.
        seen.set(seen.get() + 1);
        value | if seen.get() == 2 { 1 << 31 } else { 0 }
    });
    assert_eq!(gic.distributor.lock().quiesce(&gic.spis), Ok(()));
    assert_eq!(looks.get(), 3, "looks at GICD_CTLR");
    let expected = [
        (0, 1 << 6 | 1 << 4),
        (0x184, u64::from(u32::MAX)),
        (0x188, u64::from(u32::MAX)),
        (0x1400, u64::from(u32::MAX)),
    ];
    assert_eq!(
        mmio::writes(),
        expected.map(|(at, value)| (base + at, value))
    );
    for place in 0..3 {
        assert_eq!(gic.spis.reset_share(0, place, 3), Ok(()));
    }
    assert_eq!(looks.get(), 3, "a share needs no look at GICD_CTLR");
}

#[test]
fn each_register_of_spis_is_one_cpus() {
    for of in 1..=8 {
        let (fake, gic) = used();
        assert_eq!(gic.distributor.lock().quiesce(&gic.spis), Ok(()));
        let disabled = mmio::writes().len();
        for place in 0..of {
            assert_eq!(gic.spis.reset_share(CPU, place, of), Ok(()));
        }
        let writes = mmio::writes();
        let mut written: Vec<_> = writes[disabled..].iter().map(|(at, _)| at).collect();
        let all = written.len();
        written.sort_unstable();
        written.dedup();
        assert_eq!(
            written.len(),
            all,
            "registers that {of} CPUs wrote, once each"
        );
        for (register, offsets, expected) in AFTER_RESET {
            if !register.contains("IROUTER") {
                fake.gicd.expect(register, offsets, expected);
            }
        }
        expect_routes(&fake);
    }
}

#[test]
fn a_cpu_beyond_the_last_register_has_nothing_to_do() {
    let (_fake, gic) = used();
    for place in 3..8 {
        assert_eq!(gic.spis.reset_share(0, place, 8), Ok(()));
    }
    assert_eq!(mmio::writes(), []);
}

#[test]
fn edges_are_gone_before_pending_is_cleared() {
    let (fake, gic) = used();
    assert_eq!(reset(&gic, 0), Ok(()));
    let place = |offset| {
        let address = fake.gicd.base() + offset;
        mmio::writes().iter().position(|&(at, _)| at == address)
    };
    assert!(place(0xc0c) < place(0x284), "GICD_ICFGR3, GICD_ICPENDR1");
    assert!(place(0xc14) < place(0x288), "GICD_ICFGR5, GICD_ICPENDR2");
    assert!(
        place(0x3004) < place(0x1800),
        "GICD_ICFGR1E, GICD_ICPENDR0E"
    );
}

#[test]
fn an_interrupt_that_goes_to_a_cpu_is_moved_with_what_is_pending() {
    let fake = V3::new(&[0], 0);
    let gic = fake.gic();
    let route = |number: usize| fake.gicd.base() + 0x6100 + 8 * number;
    mmio::poke64(route(0), CPU);
    mmio::poke64(route(1), 3);
    // To any one CPU: the affinity does not count.
    mmio::poke64(route(2), 1 << 31 | CPU);
    mmio::poke64(fake.gicd.base() + 0x8000, CPU);
    assert_eq!(
        gic.distributor.lock().move_spis(&gic.spis, CPU, 5),
        2,
        "moved"
    );
    let seen = [0, 1, 2].map(|number| mmio::peek64(route(number)));
    assert_eq!(seen, [5, 3, 1 << 31 | CPU]);
    assert_eq!(mmio::peek64(fake.gicd.base() + 0x8000), 5, "extended");
}

#[test]
fn one_spi_comes_by_its_edge() {
    let fake = V3::new(&[0], 0);
    let gic = fake.gic();
    let register = fake.gicd.base() + 0xc08;
    mmio::poke(register, 0x1);
    let by_edge = |intid| gic.distributor.lock().trigger_by_edge(intid);
    assert!(by_edge(34));
    assert_eq!(mmio::peek(register), 0x21, "SPI 2 is at bits 5:4");
    // No SPI, and one that this GIC has not.
    for intid in [0, 31, 1019] {
        assert!(!by_edge(intid), "{intid}");
    }
}

#[test]
fn group_1_is_opened_for_a_kick() {
    let fake = V3::new(&[0], 0);
    let gic = fake.gic();
    assert_eq!(gic.distributor.lock().open_group1(), Ok(()));
    fake.gicd
        .expect("GICD_CTLR", 0..4, 1 << 6 | 1 << 4 | 1 << 1);
}
