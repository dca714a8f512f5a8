// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::arch::fake::mmio;
use crate::gic::fake::{PLPIS, V3, VLPI_BASE, VLPIS};
use alloc::rc::Rc;
use baton_core::gic_tables::Denied;
use core::cell::Cell;

/// Guest memory from 1 GiB to 2 GiB, of which nothing is read.
struct Ram;

impl GuestMemory for Ram {
    fn read_u64(&self, _: u64) -> Option<u64> {
        None
    }

    fn contains(&self, start: u64, size: u64) -> bool {
        start >= 1 << 30 && start + size <= 2 << 30
    }
}

fn store(gic: &GicV3, address: usize, size: u64, value: u64) -> Option<Result<(), Denied>> {
    let result = gic.store(address as u64, size, value, &Ram);
    result.map(|result| result.map_err(|refused| refused.why))
}

#[test]
fn the_pages_that_lead_to_tables_are_guarded() {
    let fake = V3::new(&[0, 1], PLPIS | VLPIS);
    let gic = fake.gic();
    let starts: Vec<u64> = gic.guarded().map(|region| region.start()).collect();
    let (first, second) = (fake.frame(0), fake.frame(1));
    let expected = [
        first,
        first + VLPI_BASE,
        second,
        second + VLPI_BASE,
        fake.its.base(),
    ];
    assert_eq!(starts, expected.map(|base| base as u64));
    assert!(gic.guarded().all(|region| region.size() == 64 << 10));
}

#[test]
fn a_store_is_made_while_it_leads_to_guest_memory() {
    let fake = V3::new(&[0], PLPIS);
    let gic = fake.gic();
    let base = fake.frame(0);
    // GICR_PROPBASER and GICR_PENDBASER, 14 bits of a number each; then EnableLPIs.
    assert_eq!(store(&gic, base + 0x70, 8, 1 << 30 | 13), Some(Ok(())));
    assert_eq!(mmio::peek64(base + 0x70), 1 << 30 | 13);
    assert_eq!(store(&gic, base + 0x78, 4, 0x5000_0000), Some(Ok(())));
    assert_eq!(store(&gic, base, 4, 1), Some(Ok(())));
    assert_eq!(mmio::peek(base) & 1, 1, "GICR_CTLR");
}

#[test]
fn a_store_that_leads_elsewhere_is_dropped() {
    let fake = V3::new(&[0], PLPIS | VLPIS);
    let gic = fake.gic();
    let base = fake.frame(0);
    assert_eq!(store(&gic, base + 0x70, 8, 0x1000 | 13), Some(Ok(())));
    let before = mmio::peek(base);
    let enabled = store(&gic, base, 4, 1);
    assert!(
        matches!(enabled, Some(Err(Denied::Table { .. }))),
        "seen {enabled:?}"
    );
    assert_eq!(mmio::peek(base), before, "GICR_CTLR");
    let resident = store(&gic, base + VLPI_BASE + 0x78, 8, 1 << 63);
    assert_eq!(resident, Some(Err(Denied::Virtual)));
    assert_eq!(mmio::peek64(base + VLPI_BASE + 0x78), 0, "GICR_VPENDBASER");
}

#[test]
fn a_store_to_the_its_is_looked_at() {
    let fake = V3::new(&[0], 0);
    let gic = fake.gic();
    // It is enabled: its tables can no longer be chosen.
    let result = store(&gic, fake.its.base() + 0x80, 8, 1 << 63 | 1 << 30);
    assert_eq!(result, Some(Err(Denied::InUse)));
}

/// A kernel stores GITS_CWRITER for each batch of commands, for as long as it runs.
#[test]
fn a_batch_of_commands_is_passed_on_without_a_look() {
    let fake = V3::new(&[0, 1], PLPIS | VLPIS);
    let gic = fake.gic();
    let reads = Rc::new(Cell::new(0));
    for memory in [&fake.gicd, &fake.gicr, &fake.its] {
        let reads = Rc::clone(&reads);
        mmio::on_read(memory.base()..memory.base() + 0x1_0000, move |_, value| {
            reads.set(reads.get() + 1);
            value
        });
    }
    let cwriter = fake.its.base() + 0x88;
    assert_eq!(store(&gic, cwriter, 8, 0x60), Some(Ok(())));
    assert_eq!(mmio::peek64(cwriter), 0x60, "GITS_CWRITER");
    assert_eq!(reads.get(), 0, "registers read");
    assert_eq!(store(&gic, cwriter, 1, 0x60), Some(Err(Denied::Shape)));
    // As a store to GITS_BASER0 is not.
    let _ = store(&gic, fake.its.base() + 0x100, 8, 0);
    assert_ne!(reads.get(), 0, "registers read for GITS_BASER0");
}

#[test]
fn a_store_beside_the_guarded_pages_is_not_the_gics() {
    let fake = V3::new(&[0], 0);
    let gic = fake.gic();
    // SGI_base.
    assert_eq!(store(&gic, fake.frame(0) + 0x1_0000, 4, 1), None);
}
