// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::arch::fake::mmio::{self, Memory};
use std::cell::RefCell;
use std::rc::Rc;
use std::vec::Vec;

/// What an SMMU was told, in order: a register's value, or a command.
type Told = Rc<RefCell<Vec<(&'static str, u64)>>>;

/// An SMMU that a kernel has set up, and that does what it is told.
pub(super) struct Fake {
    pub memory: Memory,
    pub told: Told,
}

impl Fake {
    pub fn new(idr0: u32) -> Self {
        let memory = Memory::new(0x1000);
        let base = memory.base();
        mmio::poke(base, idr0);
        for (register, value) in [
            (0x20, 0xd),
            (0x24, 0xd),
            (0x44, 0x1000),
            (0x50, 5),
            (0x54, 5),
            (0x60, 1),
            (0x98, 0x77),
            (0x9c, 0x66),
        ] {
            mmio::poke(base + register, value);
        }
        mmio::poke64(base + 0x90, 0x4567_8000);
        let told = Told::default();
        let note = told.clone();
        mmio::on_write(base + 0x20..base + 0x24, move |_, value| {
            note.borrow_mut().push(("CR0", value));
            mmio::poke(base + 0x24, value as u32);
            value
        });
        let note = told.clone();
        mmio::on_write(base + 0x44..base + 0x48, move |_, value| {
            note.borrow_mut().push(("GBPA", value));
            value & !u64::from(UPDATE)
        });
        mmio::on_write(base + 0x50..base + 0x54, move |_, value| {
            mmio::poke(base + 0x54, value as u32);
            value
        });
        let note = told.clone();
        mmio::on_write(base + 0x98..base + 0x9c, move |_, value| {
            let queue = mmio::peek64(base + 0x90) & !0x1f;
            for command in 0..value {
                let at = queue as usize + 16 * command as usize;
                note.borrow_mut().push(("command", mmio::peek64(at)));
            }
            mmio::poke(base + 0x9c, value as u32);
            value
        });
        Self { memory, told }
    }

    pub fn smmu(&self) -> Smmu {
        let region = Region::new(self.memory.base() as u64, 0x1000).expect("a page");
        // SAFETY: It is memory of the test's own.
        unsafe { Smmu::new(&region) }.expect("an SMMU")
    }

    pub fn register(&self, offset: usize) -> u32 {
        mmio::peek(self.memory.base() + offset)
    }
}

#[test]
fn it_aborts_before_it_is_off_and_drains_after() {
    let fake = Fake::new(0x0d44_101b);
    assert_eq!(fake.smmu().shut(false), Ok(()));
    let update = u64::from(UPDATE);
    let expected = [
        ("GBPA", update | 0x10_1000),
        ("CR0", 0),
        ("CR0", 8),
        ("command", 0x04),
        ("command", 0x30),
        ("command", 0x30),
        ("command", 0x46),
        ("CR0", 0),
    ];
    assert_eq!(*fake.told.borrow(), expected);
    for (register, offset, expected) in [
        ("SMMU_CR0ACK", 0x24, 0),
        ("SMMU_GBPA", 0x44, 0x10_1000),
        ("SMMU_IRQ_CTRLACK", 0x54, 0),
        ("SMMU_GERRORN", 0x64, 1),
        ("SMMU_CMDQ_BASE", 0x90, 0),
        ("SMMU_CMDQ_PROD", 0x98, 0),
        ("SMMU_CMDQ_CONS", 0x9c, 0),
    ] {
        assert_eq!(fake.register(offset), expected, "{register}");
    }
}

#[test]
fn translations_of_el2_go_too_where_there_are_any() {
    let fake = Fake::new(HYP);
    assert_eq!(fake.smmu().shut(false), Ok(()));
    assert!(fake.told.borrow().contains(&("command", 0x20)));
}

#[test]
fn it_is_open_last_if_it_is_to_be() {
    let fake = Fake::new(1);
    assert_eq!(fake.smmu().shut(true), Ok(()));
    let last = fake.told.borrow().last().copied();
    assert_eq!(last, Some(("GBPA", u64::from(UPDATE) | 0x1000)));
}

#[test]
fn one_that_does_not_answer_is_named_and_stays_shut() {
    for (register, offset, name) in [
        ("GBPA.Update", 0x44, "SMMU_GBPA"),
        ("CR0ACK", 0x24, "SMMU_CR0ACK"),
        ("IRQ_CTRLACK", 0x54, "SMMU_IRQ_CTRLACK"),
        ("CMDQ_CONS", 0x9c, "SMMU_CMDQ_CONS"),
    ] {
        let fake = Fake::new(1);
        let smmu = fake.smmu();
        mmio::stick(fake.memory.base() + offset, UPDATE);
        match smmu.shut(true) {
            Err(HwError::Timeout { register: seen, .. }) => assert_eq!(seen, name, "{register}"),
            result => panic!("{register}: seen {result:?}"),
        }
        let opened = ("GBPA", u64::from(UPDATE) | 0x1000);
        assert!(!fake.told.borrow().contains(&opened), "{register}");
        mmio::reset();
    }
}

/// QEMU 7.2 has no GBPA: with translation off, devices would reach all memory.
#[test]
fn one_that_cannot_abort_goes_on_translating_without_its_queues() {
    let fake = Fake::new(1);
    let gbpa = fake.memory.base() + 0x44;
    mmio::on_read(gbpa..gbpa + 4, |_, _| 0);
    let result = fake.smmu().shut(true);
    assert!(
        matches!(
            result,
            Err(HwError::Sticky {
                register: "SMMU_GBPA",
                ..
            })
        ),
        "seen {result:?}"
    );
    assert_eq!(fake.register(0x24), 1, "SMMU_CR0ACK");
    assert_eq!(fake.register(0x54), 0, "SMMU_IRQ_CTRLACK");
}

#[test]
fn queues_that_stay_where_they_are_get_no_commands() {
    let fake = Fake::new(1);
    mmio::poke(fake.memory.base() + 4, QUEUES_PRESET);
    let result = fake.smmu().shut(false);
    assert!(
        matches!(
            result,
            Err(HwError::Sticky {
                register: "SMMU_IDR1",
                ..
            })
        ),
        "seen {result:?}"
    );
    let told = fake.told.borrow();
    assert!(!told.iter().any(|(what, _)| *what == "command"));
    assert_eq!(fake.register(0x24), 0, "SMMU_CR0ACK");
}

#[test]
fn nothing_is_no_smmu() {
    for idr0 in [0, u32::MAX] {
        let memory = Memory::new(0x1000);
        mmio::poke(memory.base(), idr0);
        let region = Region::new(memory.base() as u64, 0x1000).expect("a page");
        // SAFETY: It is memory of the test's own.
        assert!(unsafe { Smmu::new(&region) }.is_none(), "{idr0:#x}");
    }
}
