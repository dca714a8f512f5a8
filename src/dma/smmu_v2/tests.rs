// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::arch::fake::mmio::{self, Memory};

const GROUPS: usize = 3;
const BANKS: usize = 2;
/// Two pages of global space, and as many of context banks.
const SIZE: usize = 0x4000;
const BANK_1: usize = 0x3000;

/// An SMMU that a kernel has set up, with two streams of three that translate, one of them stalled.
struct Fake(Memory);

impl Fake {
    fn new() -> Self {
        let memory = Memory::new(SIZE);
        let base = memory.base();
        for (register, value) in [
            (0x00, 0x0020_0c36),
            (0x20, SMS | GROUPS as u32),
            (0x24, BANKS as u32),
            (0x48, 2),
            (0x800, 0x8000_0010),
            (0x804, 0x8000_0011),
            (0xc04, 1),
            (0x2000, 0x10e5),
            (BANK_1, 0x11e5),
            (BANK_1 + 0x58, STALLED | 2),
        ] {
            mmio::poke(base + register, value);
        }
        for fsr in [0x48, 0x2058, BANK_1 + 0x58] {
            mmio::on_write(base + fsr..base + fsr + 4, |address, ones| {
                u64::from(mmio::peek(address) & !(ones as u32))
            });
        }
        Self(memory)
    }

    fn smmu(&self, size: usize) -> Option<SmmuV2> {
        let region = Region::new(self.0.base() as u64, size as u64).expect("pages");
        // SAFETY: It is memory of the test's own.
        unsafe { SmmuV2::new(&region) }
    }

    fn shut(&self, open: bool) -> Result<(), HwError> {
        self.smmu(SIZE).expect("an SMMU").shut(open)
    }

    fn register(&self, offset: usize) -> u32 {
        mmio::peek(self.0.base() + offset)
    }

    /// Returns at which of all writes a register was written first, and last.
    fn written(&self, offset: usize) -> (usize, usize) {
        let writes = mmio::writes();
        let is_it = |(address, _): &(usize, u64)| *address == self.0.base() + offset;
        let first = writes.iter().position(is_it).expect("a write");
        (first, writes.iter().rposition(is_it).expect("a write"))
    }
}

#[test]
fn every_stream_ends_in_a_fault_before_the_synchronization_and_contexts_end_after() {
    let fake = Fake::new();
    assert_eq!(fake.shut(false), Ok(()));
    for group in 0..GROUPS {
        assert_eq!(fake.register(0xc00 + 4 * group), FAULT, "SMMU_S2CR{group}");
        assert_eq!(fake.register(0x800 + 4 * group), 0, "SMMU_SMR{group}");
    }
    assert_eq!(fake.register(0), USFCFG | GCFGFRE | GFRE, "SMMU_sCR0");
    for (register, offset) in [
        ("SMMU_sGFSR", 0x48),
        ("SMMU_CB0_SCTLR", 0x2000),
        ("SMMU_CB1_SCTLR", BANK_1),
        ("SMMU_CB1_FSR", BANK_1 + 0x58),
    ] {
        assert_eq!(fake.register(offset), 0, "{register}");
    }
    let synchronized = fake.written(0x70).0;
    let before = [0xc08, 0x00, 0x68, 0x6c, BANK_1 + 0x08];
    for offset in before {
        assert!(fake.written(offset).1 < synchronized, "{offset:#x}");
    }
    let [acknowledged, resumed] = [0x58, 0x08].map(|register| fake.written(BANK_1 + register).0);
    assert!(acknowledged < resumed, "the fault, then the stall");
    for offset in [0x2000, BANK_1] {
        let (first, last) = fake.written(offset);
        let (_, value) = mmio::writes()[first];
        assert_eq!(value & 0x1c1, 1, "SCTLR translates, and stalls nothing");
        assert!(first < synchronized && synchronized < last, "{offset:#x}");
    }
}

#[test]
fn it_is_open_if_it_is_told_so() {
    let fake = Fake::new();
    assert_eq!(fake.shut(true), Ok(()));
    assert_eq!(fake.register(0), CLIENTPD);
    assert_eq!(fake.register(0xc04), FAULT);
}

/// Firmware may keep them to itself.
#[test]
fn a_stream_that_is_mapped_as_before_is_an_error_and_it_stays_shut() {
    let fake = Fake::new();
    let s2cr = fake.0.base() + 0xc04;
    mmio::on_write(s2cr..s2cr + 4, |_, _| 1);
    let expected = Err(HwError::Sticky {
        register: "SMMU_S2CR",
        wanted: FAULT.into(),
        found: 1,
    });
    assert_eq!(fake.shut(true), expected);
    assert_eq!(fake.register(0xc08), FAULT, "the next one");
    assert_eq!(fake.register(0), USFCFG | GCFGFRE | GFRE, "SMMU_sCR0");
}

#[test]
fn the_wait_for_the_synchronization_ends() {
    let fake = Fake::new();
    mmio::poke(fake.0.base() + 0x74, 1);
    let error = fake.shut(false).expect_err("a timeout");
    assert!(
        matches!(
            error,
            HwError::Timeout {
                register: "SMMU_sTLBGSTATUS",
                found: 1,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(fake.register(BANK_1), 0, "SMMU_CB1_SCTLR");
}

#[test]
fn one_that_is_not_there_or_has_more_registers_is_none() {
    let fake = Fake::new();
    assert!(fake.smmu(SIZE).is_some());
    assert!(fake.smmu(SIZE - 0x1000).is_none(), "fewer pages");
    mmio::poke(fake.0.base() + 0x24, 3);
    assert!(fake.smmu(SIZE).is_none(), "three banks in two pages");
    for idr0 in [0, u32::MAX] {
        mmio::poke(fake.0.base() + 0x20, idr0);
        assert!(fake.smmu(SIZE).is_none(), "{idr0:#x}");
    }
}

/// Without stream matching each stream has its register.
#[test]
fn streams_that_are_indexed_end_too() {
    let fake = Fake::new();
    mmio::poke(fake.0.base() + 0x20, 15 << NUMSIDB);
    assert_eq!(fake.shut(false), Ok(()));
    assert_eq!(fake.register(0xc00 + 4 * 127), FAULT);
    assert_eq!(fake.register(0xc00 + 4 * 128), 0, "beyond the last");
}
