// SPDX-License-Identifier: Apache-2.0
//! The distributor: interrupts that any CPU may get (Arm IHI 0069, 12.9).

use super::frames::{FrameError, check_revision, page};
use super::redistributor::{any, fill};
use super::{RWP_US, wait_clear};
use crate::arch::verify::expect;
use arm_gic::gicv3::registers::{Gicd, GicdCtlr};
use baton_core::hw_error::HwError;
use baton_core::mpidr::AFFINITY;
use safe_mmio::fields::ReadPureWrite;
use safe_mmio::{UniqueMmioPointer, field, field_shared};

/// `GICD_CTLR` as it is seen from Non-secure, or with one security state.
mod ctlr {
    /// Group 1 for a GIC with two security states; group 0 with one.
    pub const ENABLE_LOW: u32 = 1 << 0;
    /// Group 1, with affinity routing.
    pub const ENABLE_GROUP1: u32 = 1 << 1;
    /// Affinity routing; to clear it again is UNPREDICTABLE.
    pub const ARE: u32 = 1 << 4;
    /// There is one security state.
    pub const DS: u32 = 1 << 6;
}

/// `GICD_IROUTER<n>.Interrupt_Routing_Mode`: to any one CPU.
const ROUTE_ANY: u64 = 1 << 31;

/// The registers of the distributor.
pub struct Distributor {
    registers: UniqueMmioPointer<'static, Gicd>,
    /// Whether group 1 was enabled before a kick from outside.
    before_kick: Option<bool>,
}

impl Distributor {
    /// Takes the distributor at `base`.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if nothing can be there, or it is not of a GICv3 or GICv4.
    ///
    /// # Safety
    ///
    /// As [`GicV3::new`](super::GicV3::new).
    pub(super) unsafe fn new(base: usize) -> Result<Self, FrameError> {
        let pointer = page::<Gicd>(base)?;
        // SAFETY: The caller vouches for the registers, and that there is no other pointer.
        let registers = unsafe { UniqueMmioPointer::new(pointer) };
        check_revision(base, field_shared!(registers, pidr2).read().arch_rev())?;
        Ok(Self {
            registers,
            before_kick: None,
        })
    }

    /// Returns how many registers of 32 interrupts there are for SPIs, and for extended SPIs.
    fn words(&self) -> (usize, usize) {
        let typer = field_shared!(self.registers, typer).read();
        (
            // The last one is not whole: interrupt numbers from 1020 on mean something else.
            typer.num_spis().div_ceil(32) as usize,
            typer.num_espis().div_ceil(32) as usize,
        )
    }

    /// Returns how many bits an interrupt's number has.
    pub fn id_bits(&self) -> u32 {
        field_shared!(self.registers, typer).read().id_bits()
    }

    /// Returns whether interrupts can be non-maskable (`FEAT_GICv3_NMI`).
    pub fn nmi(&self) -> bool {
        field_shared!(self.registers, typer).read().nmi_supported()
    }

    /// Returns whether there are two security states.
    pub fn two_states(&self) -> bool {
        field_shared!(self.registers, ctlr).read().bits() & ctlr::DS == 0
    }

    /// Waits until the writes to enables, and to `GICD_CTLR`, have had their effect.
    ///
    /// # Errors
    ///
    /// [`HwError::Timeout`] after 10 ms.
    pub fn wait(&self) -> Result<(), HwError> {
        wait_clear(
            "GICD_CTLR",
            RWP_US,
            || field_shared!(self.registers, ctlr).read().bits().into(),
            |value| value & u64::from(GicdCtlr::RWP.bits()) != 0,
        )
    }

    /// Enables group 1, so that an SGI reaches a CPU even if the guest never set the GIC up.
    ///
    /// # Errors
    ///
    /// [`HwError::Timeout`] if it does not take effect in time.
    pub fn open_group1(&mut self) -> Result<(), HwError> {
        let mut register = field!(self.registers, ctlr);
        let found = register.read();
        register.write(found | GicdCtlr::from_bits_retain(ctlr::ARE | ctlr::ENABLE_GROUP1));
        self.before_kick
            .get_or_insert(found.bits() & ctlr::ENABLE_GROUP1 != 0);
        self.wait()
    }

    /// Disables group 1 again, if [`open_group1`](Self::open_group1) has enabled it. Affinity routing
    /// stays on. Returns whether that was called since the last time, or since the last reset.
    pub fn put_back(&mut self) -> bool {
        let before = self.before_kick.take();
        if before == Some(false) {
            field!(self.registers, ctlr)
                .modify(|value| value & !GicdCtlr::from_bits_retain(ctlr::ENABLE_GROUP1));
        }
        before.is_some()
    }

    /// Leaves the distributor as after a reset: groups off; SPIs and extended SPIs disabled, not
    /// pending, not active, in group 0, of the highest priority, maskable, level-sensitive, and
    /// routed to the CPU whose `MPIDR_EL1` is `mpidr`. Affinity routing stays on.
    ///
    /// To be called when no other CPU uses the GIC. An SPI whose device still signals stays
    /// pending.
    ///
    /// # Errors
    ///
    /// [`HwError::Timeout`] if a write does not take effect in time, [`HwError::Sticky`] with the
    /// first register that did not take its value. The rest is done all the same.
    pub fn reset(&mut self, mpidr: u64) -> Result<(), HwError> {
        self.before_kick = None;
        let (spis, extended) = self.words();
        let off = field_shared!(self.registers, ctlr).read().bits() & (ctlr::ARE | ctlr::DS);
        field!(self.registers, ctlr).write(GicdCtlr::from_bits_retain(off));
        let mut result = self.wait();
        result = result.and(self.reset_spis(spis, mpidr));
        result = result.and(self.reset_extended(extended, mpidr));
        let found = field_shared!(self.registers, ctlr).read().bits();
        result.and(expect(
            "GICD_CTLR",
            off.into(),
            (ctlr::ENABLE_LOW | ctlr::ENABLE_GROUP1).into(),
            found.into(),
        ))
    }

    /// SPIs begin at the second register of each kind of 32: the first is the redistributors'.
    fn reset_spis(&mut self, words: usize, mpidr: u64) -> Result<(), HwError> {
        let nmi = self.nmi();
        let mut gicd = self.registers.reborrow();
        fill!(gicd, icenabler[1; words], u32::MAX);
        let result = self.wait();
        let mut gicd = self.registers.reborrow();
        fill!(gicd, icfgr[2; 2 * words], 0);
        fill!(gicd, icpendr[1; words], u32::MAX);
        fill!(gicd, icactiver[1; words], u32::MAX);
        fill!(gicd, igroupr[1; words], 0);
        fill!(gicd, ipriorityr[8; 8 * words], 0);
        if nmi {
            fill!(gicd, inmir[1; words], 0);
        }
        // Not read back: the route of an interrupt that is Secure reads as zero.
        fill!(gicd, irouter[0; 32 * words], mpidr & AFFINITY);
        result
            .and(expect(
                "GICD_ISENABLER<n>",
                0,
                !0,
                any!(gicd, isenabler[1; words]).into(),
            ))
            .and(expect(
                "GICD_ISACTIVER<n>",
                0,
                !0,
                any!(gicd, isactiver[1; words]).into(),
            ))
            .and(expect(
                "GICD_IPRIORITYR<n>",
                0,
                !0,
                any!(gicd, ipriorityr[8; 8 * words]).into(),
            ))
    }

    /// The same for extended SPIs, from the first register of each kind on.
    fn reset_extended(&mut self, words: usize, mpidr: u64) -> Result<(), HwError> {
        if words == 0 {
            return Ok(());
        }
        let nmi = self.nmi();
        let mut gicd = self.registers.reborrow();
        fill!(gicd, icenabler_e[0; words], u32::MAX);
        let result = self.wait();
        let mut gicd = self.registers.reborrow();
        fill!(gicd, icfgr_e[0; 2 * words], 0);
        fill!(gicd, icpendr_e[0; words], u32::MAX);
        fill!(gicd, icactive_e[0; words], u32::MAX);
        fill!(gicd, igroupr_e[0; words], 0);
        fill!(gicd, ipriorityr_e[0; 8 * words], 0);
        if nmi {
            fill!(gicd, inmr_e[0; words], 0);
        }
        fill!(gicd, irouter_e[0; 32 * words], mpidr & AFFINITY);
        result
            .and(expect(
                "GICD_ISENABLER<n>E",
                0,
                !0,
                any!(gicd, isenabler_e[0; words]).into(),
            ))
            .and(expect(
                "GICD_ISACTIVER<n>E",
                0,
                !0,
                any!(gicd, isactiver_e[0; words]).into(),
            ))
            .and(expect(
                "GICD_IPRIORITYR<n>E",
                0,
                !0,
                any!(gicd, ipriorityr_e[0; 8 * words]).into(),
            ))
    }

    /// Routes every SPI that goes to the CPU `from` to the CPU `to` instead, both as in
    /// `MPIDR_EL1`, and returns how many there were. One that is pending goes along.
    pub fn move_spis(&mut self, from: u64, to: u64) -> usize {
        let (spis, extended) = self.words();
        let mut moved = 0;
        let mut gicd = self.registers.reborrow();
        for register in field!(gicd, irouter).iter().take(32 * spis) {
            moved += usize::from(reroute(register, from, to));
        }
        for register in field!(gicd, irouter_e).iter().take(32 * extended) {
            moved += usize::from(reroute(register, from, to));
        }
        moved
    }
}

/// Changes one route if it leads to `from`.
fn reroute(mut register: UniqueMmioPointer<'_, ReadPureWrite<u64>>, from: u64, to: u64) -> bool {
    let route = register.read();
    let leads_there = route & ROUTE_ANY == 0 && route & AFFINITY == from & AFFINITY;
    if leads_there {
        register.write(to & AFFINITY);
    }
    leads_there
}

const _: () = {
    assert!(core::mem::offset_of!(Gicd, icactive_e) == 0x1c00);
    assert!(core::mem::offset_of!(Gicd, ipriorityr_e) == 0x2000);
    assert!(core::mem::offset_of!(Gicd, icfgr_e) == 0x3000);
    assert!(core::mem::offset_of!(Gicd, inmr_e) == 0x3b00);
    assert!(core::mem::offset_of!(Gicd, irouter) == 0x6100);
    assert!(core::mem::offset_of!(Gicd, irouter_e) == 0x8000);
    assert!(size_of::<Gicd>() == 0x1_0000);
};

#[cfg(test)]
mod tests;
