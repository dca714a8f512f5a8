// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::arch::fake::mmio;
use crate::gic::fake::V2;
use std::ops::Range;
use std::vec::Vec;

const INTERFACE: u8 = 2;
const CPU: u64 = 0x102;

/// What a distributor with 64 SPIs has for them: name, offsets, and what is there after a reset
/// (IHI 0048B, 4.3: all of them reset to 0, or to what is implementation defined).
const SHARED: [(&str, Range<usize>); 10] = [
    ("GICD_IGROUPR<n>", 0x084..0x08c),
    ("GICD_ISENABLER<n>", 0x104..0x10c),
    ("GICD_ICENABLER<n>", 0x184..0x18c),
    ("GICD_ISPENDR<n>", 0x204..0x20c),
    ("GICD_ICPENDR<n>", 0x284..0x28c),
    ("GICD_ISACTIVER<n>", 0x304..0x30c),
    ("GICD_ICACTIVER<n>", 0x384..0x38c),
    ("GICD_IPRIORITYR<n>", 0x420..0x460),
    ("GICD_ITARGETSR<n>", 0x820..0x860),
    ("GICD_ICFGR<n>", 0xc08..0xc18),
];
/// The same for SGIs and PPIs of the CPU that runs this.
const PRIVATE: [(&str, Range<usize>); 11] = [
    ("GICD_IGROUPR0", 0x080..0x084),
    ("GICD_ISENABLER0", 0x100..0x104),
    ("GICD_ICENABLER0", 0x180..0x184),
    ("GICD_ISPENDR0", 0x200..0x204),
    ("GICD_ICPENDR0", 0x280..0x284),
    ("GICD_ISACTIVER0", 0x300..0x304),
    ("GICD_ICACTIVER0", 0x380..0x384),
    ("GICD_IPRIORITYR<n>", 0x400..0x420),
    ("GICD_ICFGR<n>", 0xc00..0xc08),
    ("GICD_CPENDSGIR<n>", 0xf10..0xf20),
    ("GICD_SPENDSGIR<n>", 0xf20..0xf30),
];

fn used() -> (V2, GicV2) {
    let fake = V2::new(INTERFACE);
    mmio::poke(fake.gicc.base(), 0x1e0);
    let gic = fake.gic();
    for (_, offsets) in SHARED.into_iter().chain(PRIVATE) {
        fake.gicd.fill(offsets);
    }
    mmio::poke(fake.gicd.base(), 3);
    (fake, gic)
}

fn reset(gic: &GicV2) -> Result<(), HwError> {
    gic.quiesce();
    gic.reset_spis(0, 1)
}

#[test]
fn nothing_that_cpus_share_is_left() {
    let (fake, gic) = used();
    assert_eq!(reset(&gic), Ok(()));
    fake.gicd.expect("GICD_CTLR", 0..4, 0);
    for (register, offsets) in SHARED {
        fake.gicd.expect(register, offsets, 0);
    }
    fake.gicd
        .expect("GICD_ISENABLER0, banked", 0x100..0x104, !0);
}

#[test]
fn each_register_of_spis_is_one_cpus() {
    for of in 1..=8 {
        let (fake, gic) = used();
        gic.quiesce();
        let disabled = mmio::writes().len();
        for place in 0..of {
            assert_eq!(gic.reset_spis(place, of), Ok(()));
        }
        let mut written: Vec<_> = mmio::writes()[disabled..]
            .iter()
            .map(|(address, _)| address - fake.gicd.base())
            .collect();
        let all = written.len();
        written.sort_unstable();
        written.dedup();
        assert_eq!(written.len(), all, "written twice by {of} CPUs");
        for (register, offsets) in SHARED {
            fake.gicd.expect(register, offsets, 0);
        }
    }
}

#[test]
fn spis_are_disabled_before_any_is_changed() {
    let (fake, gic) = used();
    gic.quiesce();
    let expected = [(0, 0), (0x184, 0xffff_ffff), (0x188, 0xffff_ffff)];
    let expected = expected.map(|(offset, value)| (fake.gicd.base() + offset, value));
    assert_eq!(mmio::writes(), expected);
    fake.gicd.expect("GICD_ISENABLER<n>", 0x104..0x10c, 0);
}

#[test]
fn nothing_of_a_cpus_own_is_left() {
    let (fake, gic) = used();
    assert_eq!(gic.reset_private(), Ok(()));
    for (register, offsets) in PRIVATE {
        fake.gicd.expect(register, offsets, 0);
    }
    fake.gicd
        .expect("GICD_ISENABLER1, shared", 0x104..0x108, !0);
}

#[test]
fn what_does_not_take_is_named() {
    for (offset, register) in [
        (0x108, "GICD_ISENABLER<n>"),
        (0x304, "GICD_ISACTIVER<n>"),
        (0x084, "GICD_IGROUPR<n>"),
        (0x45c, "GICD_IPRIORITYR<n>"),
    ] {
        let (fake, gic) = used();
        mmio::stick(fake.gicd.base() + offset, 1);
        match reset(&gic) {
            Err(HwError::Sticky { register: seen, .. }) => assert_eq!(seen, register),
            result => panic!("{register}: seen {result:?}"),
        }
    }
}

#[test]
fn sgis_may_be_enabled_for_ever() {
    let (fake, gic) = used();
    mmio::stick(fake.gicd.base() + 0x100, 0xffff);
    assert_eq!(gic.reset_private(), Ok(()));
    mmio::stick(fake.gicd.base() + 0x100, 1 << 16);
    assert!(gic.reset_private().is_err(), "a PPI may not");
}

#[test]
fn an_sgi_that_stays_pending_is_named() {
    let (fake, gic) = used();
    assert_eq!(gic.drop_sgis(), Ok(()));
    fake.gicd.expect("GICD_SPENDSGIR<n>", 0xf20..0xf30, 0);
    mmio::stick(fake.gicd.base() + 0xf2c, 1 << 24);
    let stuck = HwError::Sticky {
        register: "GICD_SPENDSGIR<n>",
        wanted: 0,
        found: 1 << 24,
    };
    assert_eq!(gic.drop_sgis(), Err(stuck));
}

/// The CPU interface of a kernel, which is handling an interrupt in each of three levels.
fn handling() -> (V2, GicV2) {
    let (fake, gic) = used();
    let base = fake.gicc.base();
    // GICC_CTLR with EOImode, both groups, and firmware's bypass; PMR, BPR, ABPR, APR, NSAPR.
    mmio::poke(base, 1 << 9 | 0x1e0 | 3);
    for (offset, value) in [(0x4, 0xf0), (0x8, 7), (0x1c, 7)] {
        mmio::poke(base + offset, value);
    }
    fake.gicc.fill(0xd0..0xf0);
    mmio::poke(base + 0x14, 0x80);
    let mut levels = 3;
    mmio::on_write(base + 0x10..base + 0x14, move |_, _| {
        levels -= 1;
        if levels == 0 {
            mmio::poke(base + 0x14, 0xff);
        }
        0
    });
    (fake, gic)
}

#[test]
fn nothing_of_a_cpu_interface_is_left() {
    let (fake, gic) = handling();
    assert_eq!(gic.reset_cpu_interface(), Ok(()));
    // 4.4: all reset to 0; the bypass bits as firmware had them.
    fake.gicc.expect("GICC_CTLR", 0x0..0x4, 0x1e0);
    fake.gicc.expect("GICC_PMR", 0x4..0x8, 0);
    fake.gicc.expect("GICC_BPR", 0x8..0xc, 0);
    fake.gicc.expect("GICC_ABPR", 0x1c..0x20, 0);
    fake.gicc.expect("GICC_APR<n>", 0xd0..0xe0, 0);
    fake.gicc.expect("GICC_NSAPR<n>", 0xe0..0xf0, 0);
    fake.gicc.expect("GICC_RPR", 0x14..0x18, 0xff);
}

#[test]
fn a_cpu_interface_that_does_not_take_its_values_is_named() {
    for (offset, register) in [(0x0, "GICC_CTLR"), (0x4, "GICC_PMR")] {
        let (fake, gic) = handling();
        mmio::stick(fake.gicc.base() + offset, 1);
        match gic.reset_cpu_interface() {
            Err(HwError::Sticky { register: seen, .. }) => assert_eq!(seen, register),
            result => panic!("{register}: seen {result:?}"),
        }
    }
    let (fake, gic) = used();
    mmio::poke(fake.gicc.base() + 0x14, 0x80);
    let result = gic.reset_cpu_interface();
    assert!(
        matches!(
            result,
            Err(HwError::Sticky {
                register: "GICC_RPR",
                ..
            })
        ),
        "seen {result:?}"
    );
}

#[test]
fn listening_lets_the_highest_priority_through_and_is_undone() {
    let (fake, gic) = used();
    assert!(gic.kick_is_masked(), "both groups are off");
    gic.listening(|| {
        fake.gicc.expect("GICC_PMR", 0x4..0x8, 0x20);
        fake.gicc.expect("GICC_CTLR", 0x0..0x4, 0x1e3);
        assert!(!gic.kick_is_masked());
    });
    fake.gicc.expect("GICC_PMR", 0x4..0x8, 0);
    fake.gicc.expect("GICC_CTLR", 0x0..0x4, 0x1e0);
}

#[test]
fn a_cpu_that_comes_finds_nothing_that_was_sent_to_it() {
    let (fake, gic) = used();
    assert_eq!(gic.cpu_online(CPU), Ok(()));
    fake.gicd.expect("GICD_ISENABLER0", 0x100..0x104, 0);
    // It is there already: it keeps what it has now.
    fake.gicd.fill(0x100..0x104);
    assert_eq!(gic.cpu_online(CPU), Ok(()));
    fake.gicd.expect("GICD_ISENABLER0", 0x100..0x104, !0);
    gic.cpu_offline(CPU);
    assert_eq!(gic.cpu_online(CPU), Ok(()));
    fake.gicd.expect("GICD_ISENABLER0", 0x100..0x104, 0);
}

#[test]
fn a_kick_from_outside_reaches_the_interface_of_the_cpu() {
    let fake = V2::new(INTERFACE);
    let gic = fake.gic();
    gic.kick_from_outside(CPU);
    assert_eq!(mmio::writes(), [], "it has not come");
    assert_eq!(gic.cpu_online(CPU), Ok(()));
    fake.gicd.fill(0x420..0x460);
    gic.kick_from_outside(CPU);
    let targets = u32::from_le_bytes([1 << INTERFACE; 4]);
    fake.gicd.expect("GICD_ITARGETSR<n>", 0x820..0x840, targets);
    fake.gicd.expect("GICD_ITARGETSR<n>", 0x840..0x860, 0);
    // Half of them in each group: a guest may have switched one off.
    fake.gicd.expect("GICD_IGROUPR1", 0x84..0x88, 0xaaaa_aaaa);
    fake.gicd.expect("GICD_IPRIORITYR<n>", 0x420..0x440, 0);
    fake.gicd.expect("GICD_IPRIORITYR<n>", 0x440..0x460, !0);
    fake.gicd.expect("GICD_ISPENDR1", 0x204..0x208, !0);
    fake.gicd.expect("GICD_ISENABLER1", 0x104..0x108, !0);
    fake.gicd.expect("GICD_CTLR", 0x0..0x4, 3);
}

#[test]
fn a_kick_from_outside_is_put_back() {
    let fake = V2::new(INTERFACE);
    let gic = fake.gic();
    assert_eq!(gic.cpu_online(CPU), Ok(()));
    // SPI 32 is enabled, and SPI 33 pending.
    let guests = [
        ("GICD_CTLR", 0x0, 1),
        ("GICD_IGROUPR1", 0x84, 0x0f0f_0f0f),
        ("GICD_ISENABLER1", 0x104, 1),
        ("GICD_ISPENDR1", 0x204, 2),
        ("GICD_IPRIORITYR8", 0x420, 0xa0a0_a0a0),
        ("GICD_ITARGETSR8", 0x820, 0x0102_0408),
    ];
    for (_, offset, value) in guests {
        mmio::poke(fake.gicd.base() + offset, value);
    }
    gic.kick_from_outside(CPU);
    gic.kick_from_outside(CPU);
    gic.put_back_kicks();
    for (register, offset, value) in guests {
        let expected = match offset {
            // It may be its device that has made the enabled one pending.
            0x204 => 3,
            _ => value,
        };
        fake.gicd.expect(register, offset..offset + 4, expected);
    }
}

#[test]
fn an_sgi_for_all_others_says_so() {
    let fake = V2::new(INTERFACE);
    baton_sysreg::fake::reset();
    fake.gic().send_to_all_others(3);
    // What was stored before is seen by who takes it.
    assert_eq!(baton_sysreg::fake::instructions(), ["dsb ish"]);
    // 4.3.15: TargetListFilter 0b01, SGIINTID.
    let sgir = (fake.gicd.base() + 0xf00, 1 << 24 | 3);
    assert_eq!(mmio::writes(), [sgir]);
}

#[test]
fn interrupts_of_a_cpu_that_goes_are_moved() {
    let fake = V2::new(INTERFACE);
    let gic = fake.gic();
    assert_eq!(gic.cpu_online(CPU), Ok(()));
    // Another CPU, with the interface 0.
    for target in (0x800..0x820).step_by(4) {
        mmio::poke(fake.gicd.base() + target, u32::from_le_bytes([1; 4]));
    }
    assert_eq!(gic.cpu_online(0), Ok(()));
    // To the CPU alone, to both, to the other, to none.
    let targets = fake.gicd.base() + 0x820;
    mmio::poke(targets, u32::from_le_bytes([4, 5, 1, 0]));
    gic.move_spis(CPU, 0);
    assert_eq!(mmio::peek(targets).to_le_bytes(), [1, 1, 1, 0]);
}

#[test]
fn what_is_no_gicv2_is_refused() {
    let fake = V2::new(0);
    let base = fake.gicd.base();
    mmio::poke(base + 0xfe8, 0x3b);
    // SAFETY: It is memory.
    let result = unsafe { GicV2::new(base, fake.gicc.base()) }.map(|_| ());
    assert_eq!(result, Err(GicV2Error::NotV2 { base, revision: 3 }));
    // SAFETY: Nothing is accessed.
    let result = unsafe { GicV2::new(0, fake.gicc.base()) }.map(|_| ());
    assert_eq!(result, Err(GicV2Error::BadAddress { base: 0 }));
}
