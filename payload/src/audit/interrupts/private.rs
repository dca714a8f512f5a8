// SPDX-License-Identifier: Apache-2.0
//! Jobs of a CPU: it fills its redistributor and its CPU interface, and takes what is pending.

use super::{
    DISABLED, GROUP0, PENDING, PMU_LINE, PRIVATE_PRIORITY, SGIS, TAKEN, TIMER_LINES, bytes, take,
};
use crate::audit::isb;
use crate::cpu::Cpu;
use crate::gic::{self, v2};
use crate::mmio::{read64, write32};
use baton_sysreg::gic::{array, gicr};
use baton_sysreg::write_sysreg;
use core::sync::atomic::Ordering::Relaxed;

/// Wakes the CPU's redistributor, with all interrupts of group 1 and one priority: the number of
/// registers for each 32 of them, `None` if it stays asleep.
fn wake(this: &Cpu) -> Option<u64> {
    let base = this.redistributor.load(Relaxed);
    let sgi = base + gicr::FRAME;
    if !gic::wake(base) {
        return None;
    }
    let words = 1 + (read64(base + gicr::TYPER) >> 27 & 0x1f).min(2);
    for n in 0..words {
        write32(sgi + array::IGROUPR + 4 * n, !0);
    }
    for n in 0..8 * words {
        write32(sgi + array::IPRIORITYR + 4 * n, bytes(PRIVATE_PRIORITY));
    }
    Some(words)
}

/// A job: lets every private interrupt through and takes what is pending; 1023 if nothing is.
pub fn listen(this: &'static Cpu, _: u64) -> u64 {
    if let Some(gic) = v2::get() {
        return gic.listen();
    }
    let Some(words) = wake(this) else {
        return 0;
    };
    let sgi = this.redistributor.load(Relaxed) + gicr::FRAME;
    for n in 0..words {
        write32(sgi + array::ISENABLER + 4 * n, !0);
    }
    // SAFETY: interrupts are masked by DAIF, and are taken by hand.
    unsafe {
        write_sysreg!(ICC_PMR_EL1, 0xff);
        write_sysreg!(ICC_IGRPEN1_EL1, 1);
    }
    isb();
    take(this, 0)
}

/// A job: leaves SGIs and PPIs of the CPU in every state but for what devices signal, and opens its
/// CPU interface in an unusual way.
pub fn dirty_private(this: &'static Cpu, _: u64) -> u64 {
    if let Some(gic) = v2::get() {
        gic.dirty_private(PRIVATE_PRIORITY);
        return 0;
    }
    let Some(words) = wake(this) else {
        return 1;
    };
    let sgi = this.redistributor.load(Relaxed) + gicr::FRAME;
    let devices = TIMER_LINES | PMU_LINE;
    // Edges, but for the lines of devices.
    let edges = (16..32).filter(|n| devices & 1 << n == 0);
    let edges = edges.fold(0, |all, n| all | 2_u32 << (2 * (n - 16)));
    write32(sgi + array::ICFGR + 4, edges);
    for n in 1..words {
        write32(sgi + array::ISENABLER + 4 * n, 0x5555_5555);
        write32(sgi + array::ISPENDR + 4 * n, !0);
    }
    // The interface: nothing may be pending that comes before what is to be taken.
    // SAFETY: interrupts are masked by DAIF, and are taken by hand.
    unsafe {
        write_sysreg!(ICC_SRE_EL1, 7);
        isb();
        write_sysreg!(ICC_PMR_EL1, 0xf0);
        write_sysreg!(ICC_BPR1_EL1, 4);
        // EOImode: ends of interrupts do not deactivate.
        write_sysreg!(ICC_CTLR_EL1, 2);
        write_sysreg!(ICC_IGRPEN1_EL1, 1);
        if GROUP0.load(Relaxed) {
            write_sysreg!(ICC_BPR0_EL1, 4);
            // Active, of the lowest priority.
            write_sysreg!(ICC_AP0R0_EL1, 1 << 31);
            write_sysreg!(ICC_IGRPEN0_EL1, 1);
        }
    }
    isb();
    0
}

/// A job: sends the CPU an SGI and takes it, and leaves others pending, enabled and not.
pub fn dirty_sgis(this: &'static Cpu, _: u64) -> u64 {
    if let Some(gic) = v2::get() {
        return gic.dirty_sgis();
    }
    let sgi = this.redistributor.load(Relaxed) + gicr::FRAME;
    write32(sgi + array::ISENABLER, 1 << TAKEN);
    write32(sgi + array::ISPENDR, 1 << TAKEN);
    let number = take(this, 0);
    let latched = !(SGIS | TIMER_LINES | PMU_LINE);
    write32(sgi + array::ISENABLER, !(1 << DISABLED));
    write32(sgi + array::ISPENDR, 1 << PENDING | 1 << DISABLED | latched);
    write32(sgi + array::ISACTIVER, 0x0100_0001);
    number
}
