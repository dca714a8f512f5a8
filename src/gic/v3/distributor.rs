// SPDX-License-Identifier: Apache-2.0
//! The distributor: interrupts that any CPU may get (Arm IHI 0069, 12.9).

use super::frames::{FrameError, check_revision, page};
use super::spis::Spis;
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

    /// Waits until the writes to enables, and to `GICD_CTLR`, have had their effect; returns what is there
    /// then.
    ///
    /// # Errors
    ///
    /// [`HwError::Timeout`] after 10 ms.
    fn wait(&self) -> Result<u32, HwError> {
        let mut found = GicdCtlr::empty();
        wait_clear(
            "GICD_CTLR",
            RWP_US,
            || {
                found = field_shared!(self.registers, ctlr).read();
                found.bits().into()
            },
            |value| value & u64::from(GicdCtlr::RWP.bits()) != 0,
        )?;
        Ok(found.bits())
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
        self.wait().map(|_| ())
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

    /// Switches both groups off, and disables `spis`. Affinity routing stays on.
    ///
    /// To be called when no other CPU uses the GIC. What is left of the SPIs is for
    /// [`Spis::reset_share`].
    ///
    /// # Errors
    ///
    /// [`HwError::Timeout`] if that does not take effect in time, [`HwError::Sticky`] if a group stays on.
    pub fn quiesce(&mut self, spis: &Spis) -> Result<(), HwError> {
        self.before_kick = None;
        let off = field_shared!(self.registers, ctlr).read().bits() & (ctlr::ARE | ctlr::DS);
        field!(self.registers, ctlr).write(GicdCtlr::from_bits_retain(off));
        spis.disable();
        // One bit for all writes: it is waited for once.
        let found = self.wait()?;
        expect(
            "GICD_CTLR",
            off.into(),
            (ctlr::ENABLE_LOW | ctlr::ENABLE_GROUP1).into(),
            found.into(),
        )
    }

    /// Has the SPI `intid`, which is disabled, come once for each time that its device begins to signal. Returns
    /// false if there is no such SPI.
    pub fn trigger_by_edge(&mut self, intid: u32) -> bool {
        let count = field_shared!(self.registers, typer).read().num_spis();
        let mut gicd = self.registers.reborrow();
        let mut registers = field!(gicd, icfgr);
        let mut registers = registers.as_mut_slice();
        let place = (intid / 16) as usize;
        let register = registers
            .get(place)
            .filter(|_| intid.wrapping_sub(32) < count);
        register.is_some_and(|mut register| {
            register.modify(|value| value | 2 << (intid % 16 * 2));
            true
        })
    }

    /// Routes each of `spis` that goes to the CPU `from` to the CPU `to` instead, both as in
    /// `MPIDR_EL1`, and returns how many there were. One that is pending goes along.
    pub fn move_spis(&mut self, spis: &Spis, from: u64, to: u64) -> usize {
        let (spis, extended) = spis.words();
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
