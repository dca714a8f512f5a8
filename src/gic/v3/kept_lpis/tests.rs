// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::arch::fake::mmio::{self, Memory};
use crate::gic::fake::{PLPIS, V3};
use alloc::vec::Vec;

/// `GICR_CTLR.EnableLPIs`.
const ENABLE: u32 = 1;

/// A GIC with two CPUs, and the tables that it is offered; it is assumed not to switch LPIs off.
fn offered() -> (V3, GicV3, Memory) {
    let fake = V3::new(&[0, 1], PLPIS);
    let gic = fake.gic();
    // The property table, and a pending table for each of two CPUs, 64 KiB each.
    assert_eq!(gic.lpi_tables(0, true), Some(3 * LPI_BLOCK));
    let memory = Memory::new(3 * LPI_BLOCK as usize);
    let region = Region::new(memory.base() as u64, 3 * LPI_BLOCK).expect("a region");
    // SAFETY: No GIC uses it.
    unsafe { gic.offer_lpi_tables(region, true) };
    (fake, gic, memory)
}

/// Returns whether each CPU's redistributor has LPIs on.
fn on(fake: &V3) -> [bool; 2] {
    [0, 1].map(|number| mmio::peek(fake.frame(number)) & ENABLE != 0)
}

#[test]
fn each_cpu_sets_its_own_redistributor_up() {
    let (fake, gic, memory) = offered();
    assert_eq!(on(&fake), [false, false]);
    assert_eq!(gic.preset_lpis(0), Ok(true));
    assert_eq!(on(&fake), [true, false]);
    let second = fake.frame(1)..fake.frame(1) + fake.stride;
    let foreign: Vec<_> = mmio::writes()
        .into_iter()
        .filter(|(address, _)| second.contains(address))
        .collect();
    assert_eq!(foreign, [], "writes to the other CPU's redistributor");
    assert_eq!(gic.cpu_online(1), Ok(()));
    assert_eq!(on(&fake), [true, true]);
    for number in 0..2 {
        let pendbaser = mmio::peek64(fake.frame(number) + 0x78);
        let expected = memory.base() as u64 + LPI_BLOCK * (1 + number as u64);
        assert_eq!(pendbaser & 0xf_ffff_ffff_0000, expected, "CPU {number}");
    }
}

#[test]
fn a_cpu_that_comes_back_sets_up_what_was_lost() {
    let (fake, gic, _memory) = offered();
    assert_eq!(gic.cpu_online(1), Ok(()));
    let (base, before) = (fake.frame(1), mmio::writes().len());
    assert_eq!(gic.cpu_online(1), Ok(()));
    assert_eq!(mmio::writes().len(), before, "nothing was lost");

    let propbaser = mmio::peek64(base + 0x70);
    let pendbaser = mmio::peek64(base + 0x78);
    for offset in [0x0, 0x70, 0x78] {
        mmio::poke64(base + offset, 0);
    }
    assert_eq!(gic.cpu_online(1), Ok(()));
    assert_eq!(on(&fake), [false, true]);
    assert_eq!(mmio::peek64(base + 0x70), propbaser, "GICR_PROPBASER");
    // 12.11.31: with PTZ the pending table is not read. Interrupts are pending in it.
    let read = pendbaser & !(1 << 62);
    assert_eq!(mmio::peek64(base + 0x78), read, "GICR_PENDBASER");
}

#[test]
fn kept_lpis_are_disabled_one_by_one() {
    let (_fake, gic, memory) = offered();
    // The old kernel has enabled all of them: a byte for each LPI, from 8192 on.
    memory.fill(0..0x1_0000);
    gic.disable_kept_lpis();
    memory.expect("a table that nobody uses", 0..0x1_0000, u32::MAX);
    assert_eq!(gic.cpu_online(1), Ok(()));
    gic.disable_kept_lpis();
    memory.expect("property table", 0..0xe000, 0);
    memory.expect("behind the property table", 0xe000..0x1_0000, u32::MAX);
}

#[test]
fn lpis_that_can_be_switched_off_need_no_tables() {
    let fake = V3::new(&[0], PLPIS);
    let gic = fake.gic();
    assert_eq!(gic.lpi_tables(0, false), None);
    assert_eq!(gic.cpu_online(0), Ok(()));
    assert_eq!(mmio::writes(), []);
}
