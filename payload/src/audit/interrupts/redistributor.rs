// SPDX-License-Identifier: Apache-2.0
//! What is left in a redistributor (Arm IHI 0069, 12.11).

use super::{PMU_LINE, SGIS, TIMER_LINES};
use crate::audit::sheet::{Index, Page};
use crate::cpu::Cpu;
use crate::mmio::{read32, read64};
use baton_abi::steps;
use baton_sysreg::gic::{array, gicr};
use core::sync::atomic::Ordering::Relaxed;

/// Adds what is in a CPU's redistributor.
pub fn audit_redistributor(page: &mut Page, cpu: &Cpu) {
    let base = cpu.redistributor.load(Relaxed);
    let sgi = base + gicr::FRAME;
    let place = cpu.place();
    let typer = read64(base + gicr::TYPER);
    let mut add = |step, name, expected, mask, found: u64| {
        page.add((step, name, Index::None), place, expected, mask, found);
    };
    const OWNER: &str = steps::REDISTRIBUTOR;
    let ctlr = read32(base + gicr::CTLR);
    add(
        steps::LPIS,
        "GICR_CTLR",
        0,
        (gicr::CTLR_ENABLE_LPIS | gicr::CTLR_DPG).into(),
        ctlr.into(),
    );
    if typer & 1 != 0 {
        // Where the tables are, and how large.
        let table = 0xf_ffff_ffff_f000;
        let properties = read64(base + gicr::PROPBASER);
        add(steps::LPIS, "GICR_PROPBASER", 0, table | 0x1f, properties);
        let pending = read64(base + gicr::PENDBASER);
        add(steps::LPIS, "GICR_PENDBASER", 0, table, pending);
    }
    if typer & 2 != 0 {
        // GICv4: Valid.
        let resident = read64(base + gicr::VPENDBASER);
        add(steps::LPIS, "GICR_VPENDBASER", 0, 1 << 63, resident);
    }
    // PPInum: 31, 1055 or 1119 is the last PPI.
    let words = 1 + (typer >> 27 & 0x1f).min(2);
    let any = |offset: u64, range: core::ops::Range<u64>| {
        u64::from(range.fold(0, |all, n| all | read32(sgi + offset + 4 * n)))
    };
    add(
        OWNER,
        "GICR_IGROUPR<n>",
        0,
        !0,
        any(array::IGROUPR, 0..words),
    );
    add(
        OWNER,
        "GICR_ISENABLER<n>",
        0,
        !0,
        any(array::ISENABLER, 0..words),
    );
    add(
        OWNER,
        "GICR_ISACTIVER<n>",
        0,
        !0,
        any(array::ISACTIVER, 0..words),
    );
    add(
        OWNER,
        "GICR_IPRIORITYR<n>",
        0,
        !0,
        any(array::IPRIORITYR, 0..8 * words),
    );
    // The SGIs, in the first one, are edges for ever.
    add(
        OWNER,
        "GICR_ICFGR<n>",
        0,
        !0,
        any(array::ICFGR, 1..2 * words),
    );
    let pending = read32(sgi + array::ISPENDR);
    let of = |mask: u32| u64::from(pending & mask);
    add(steps::SGIS, "GICR_ISPENDR0 SGIs", 0, !0, of(SGIS));
    add(steps::TIMERS, "PPIs 27, 30 pending", 0, !0, of(TIMER_LINES));
    add(steps::PMU, "PPI 23 pending", 0, !0, of(PMU_LINE));
    let others = of(!(SGIS | TIMER_LINES | PMU_LINE));
    add(
        OWNER,
        "GICR_ISPENDR<n> PPIs",
        0,
        !0,
        others | any(array::ISPENDR, 1..words),
    );
}
