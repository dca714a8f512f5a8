// SPDX-License-Identifier: Apache-2.0
//! The registers of a GICv2 (Arm IHI 0048B), for the CPU that runs this.

use super::ids::{LOW, MASK, SGI, VIRTUAL_TIMER};
use crate::cpu::Cpu;
use crate::machine::Gic;
use crate::mmio::{read8, read32, write32};
use baton_sysreg::gic::{array, gicc, gicd};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

static GICD: AtomicU64 = AtomicU64::new(0);
static GICC: AtomicU64 = AtomicU64::new(0);

/// A GICv2, by the physical addresses of its parts.
#[derive(Clone, Copy)]
pub struct GicV2 {
    /// The distributor.
    pub gicd: u64,
    /// The CPU interface.
    pub gicc: u64,
}

/// Tells all CPUs what the device tree says.
pub fn set(gic: &Gic) {
    if let Some(cpu_interface) = gic.cpu_interface {
        GICC.store(cpu_interface, Relaxed);
        GICD.store(gic.distributor, Relaxed);
    }
}

/// The machine's, if it has one.
pub fn get() -> Option<GicV2> {
    let (gicd, gicc) = (GICD.load(Relaxed), GICC.load(Relaxed));
    (gicd != 0).then_some(GicV2 { gicd, gicc })
}

/// Learns which CPU interface is that of the CPU that runs this.
pub fn learn(this: &Cpu) {
    if let Some(gic) = get() {
        // Those of SGIs and PPIs are the CPU itself; of the only CPU there are none.
        let targets = (0..32).fold(0, |all, n| all | read8(gic.gicd + gicd::ITARGETSR + n));
        this.targets.store(targets.max(1).into(), Relaxed);
    }
}

/// A job: the SGIs that are pending on the CPU, which others sent it before it was turned on.
pub fn pending_sgis(_: &'static Cpu, _: u64) -> u64 {
    get().map_or(0, |gic| gic.pending_sgis().into())
}

impl GicV2 {
    /// Lets interrupts through the distributor.
    pub fn init(&self) {
        write32(self.gicd + gicd::CTLR, 1);
    }

    /// Enables [`SGI`] and [`VIRTUAL_TIMER`] on the CPU that runs this.
    pub fn enable(&self) {
        write32(self.gicd + array::ICENABLER, !0);
        for n in (0..32).step_by(4) {
            write32(self.gicd + array::IPRIORITYR + n, 0xa0a0_a0a0);
        }
        write32(self.gicd + array::ISENABLER, 1 << SGI | 1 << VIRTUAL_TIMER);
        write32(self.gicc + gicc::PMR, 0xff);
        write32(self.gicc + gicc::CTLR, 1);
    }

    /// As [`lower_priority`](super::lower_priority).
    pub fn lower_priority(&self) {
        write32(self.gicd + array::IPRIORITYR, LOW);
        write32(self.gicc + gicc::PMR, MASK);
    }

    /// As [`disable_groups`](super::disable_groups).
    pub fn disable_groups(&self) {
        write32(self.gicc + gicc::CTLR, 0);
    }

    /// As [`mask_all`](super::mask_all).
    pub fn mask_all(&self) {
        write32(self.gicc + gicc::PMR, 0);
    }

    /// As [`disable_private`](super::disable_private), as far as SGIs can be disabled.
    pub fn disable_private(&self) {
        write32(self.gicd + array::ICENABLER, !0);
    }

    /// Takes the pending interrupt: its number, and with the source of an SGI.
    pub fn acknowledge(&self) -> (u32, u32) {
        let value = read32(self.gicc + gicc::IAR);
        (value & 0x3ff, value)
    }

    /// Ends an interrupt, by what [`Self::acknowledge`] has returned beside its number.
    pub fn end(&self, value: u32) {
        write32(self.gicc + gicc::EOIR, value);
    }

    /// Sends an SGI to a CPU.
    pub fn send(&self, target: &Cpu, sgi: u32) {
        let targets = target.targets.load(Relaxed) as u32;
        write32(self.gicd + gicd::SGIR, targets << 16 | sgi);
    }

    /// The OR of the sources of all SGIs that are pending.
    pub fn pending_sgis(&self) -> u32 {
        (0..4).fold(0, |all, n| {
            all | read32(self.gicd + gicd::SPENDSGIR + 4 * n)
        })
    }

    /// Sends an SGI to the CPU that runs this.
    pub fn send_self(&self, sgi: u32) {
        write32(self.gicd + gicd::SGIR, gicd::SGIR_SELF | sgi);
    }
}
