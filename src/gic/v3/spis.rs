// SPDX-License-Identifier: Apache-2.0
//! The SPIs in the distributor's registers, of which many CPUs can reset a part each at once (Arm IHI 0069,
//! 12.9).
//!
//! Of each kind of register, those of 32 SPIs belong together and go to one CPU, so that no register is
//! written by two: that is one of those with a bit for each SPI, and a whole number of all others.

use super::redistributor::{any, fill};
use crate::arch::verify::expect;
use crate::gic::block::Block;
use arm_gic::gicv3::registers::Gicd;
use baton_core::hw_error::HwError;
use baton_core::mpidr::AFFINITY;
use core::ptr::NonNull;
use safe_mmio::{UniqueMmioPointer, field, field_shared};

/// The registers of SPIs and extended SPIs, and how many there are: what `GICD_TYPER` says never changes.
pub struct Spis {
    registers: Block<Gicd>,
    /// Registers with a bit for each of 32 SPIs.
    words: usize,
    /// The same for extended SPIs.
    extended: usize,
    /// They can be non-maskable (`FEAT_GICv3_NMI`).
    nmi: bool,
}

/// Resets the SPIs of one register with a bit for each, and checks what can be read back.
macro_rules! reset {
    ($gicd:ident, $nmi:expr, $mpidr:expr, $first:expr, $route:expr, $suffix:literal,
     $icfgr:ident $icpendr:ident $icactiver:ident $igroupr:ident $ipriorityr:ident $inmir:ident
     $irouter:ident $isenabler:ident $isactiver:ident) => {{
        let first = $first;
        // Before pending is cleared: a level-sensitive interrupt keeps no edge.
        fill!($gicd, $icfgr[2 * first; 2], 0);
        fill!($gicd, $icpendr[first; 1], u32::MAX);
        fill!($gicd, $icactiver[first; 1], u32::MAX);
        fill!($gicd, $igroupr[first; 1], 0);
        fill!($gicd, $ipriorityr[8 * first; 8], 0);
        if $nmi {
            fill!($gicd, $inmir[first; 1], 0);
        }
        // Not read back: the route of an interrupt that is Secure reads as zero.
        fill!($gicd, $irouter[32 * $route; 32], $mpidr & AFFINITY);
        let enabled = any!($gicd, $isenabler[first; 1]);
        let active = any!($gicd, $isactiver[first; 1]);
        let priority = any!($gicd, $ipriorityr[8 * first; 8]);
        expect(concat!("GICD_ISENABLER<n>", $suffix), 0, !0, enabled.into())
            .and(expect(concat!("GICD_ISACTIVER<n>", $suffix), 0, !0, active.into()))
            .and(expect(concat!("GICD_IPRIORITYR<n>", $suffix), 0, !0, priority.into()))
    }};
}

impl Spis {
    /// Takes those of the distributor at `base`.
    ///
    /// # Safety
    ///
    /// As [`Block::new`].
    pub(super) unsafe fn new(base: NonNull<Gicd>) -> Self {
        // SAFETY: The caller's promise.
        let registers = unsafe { Block::new(base) };
        let typer = field_shared!(registers.registers(), typer).read();
        Self {
            // The last one is not whole: interrupt numbers from 1020 on mean something else.
            words: typer.num_spis().div_ceil(32) as usize,
            extended: typer.num_espis().div_ceil(32) as usize,
            nmi: typer.nmi_supported(),
            registers,
        }
    }

    /// Returns how many registers with a bit for each there are for SPIs, and for extended SPIs.
    pub(super) fn words(&self) -> (usize, usize) {
        (self.words, self.extended)
    }

    /// Disables all of them. Without effect before `GICD_CTLR.RWP` is clear.
    pub(super) fn disable(&self) {
        let mut gicd = self.registers.registers();
        fill!(gicd, icenabler[1; self.words], u32::MAX);
        fill!(gicd, icenabler_e[0; self.extended], u32::MAX);
    }

    /// Leaves SPIs and extended SPIs as after a reset: not pending, not active, in group 0, of the highest
    /// priority, maskable, level-sensitive, and routed to the CPU whose `MPIDR_EL1` is `mpidr`. Of all
    /// registers with a bit for each, these are every `of`th from the one at `place` on.
    ///
    /// They are disabled, and that has taken effect ([`Distributor::quiesce`](super::distributor::Distributor::quiesce)):
    /// to change the trigger of one that is not is UNPREDICTABLE. An SPI whose device still signals stays pending.
    ///
    /// # Errors
    ///
    /// [`HwError::Sticky`] with the first register that did not take its value. The rest is done all the same.
    pub fn reset_share(&self, mpidr: u64, place: usize, of: usize) -> Result<(), HwError> {
        let mut gicd = self.registers.registers();
        let mut result = Ok(());
        for word in (place..self.words + self.extended).step_by(of.max(1)) {
            result = result.and(match word.checked_sub(self.words) {
                None => self.reset(&mut gicd, word, mpidr),
                Some(word) => self.reset_extended(&mut gicd, word, mpidr),
            });
        }
        result
    }

    /// SPIs begin at the second register of each kind of 32: the first is the redistributors'.
    fn reset(
        &self,
        gicd: &mut UniqueMmioPointer<'_, Gicd>,
        word: usize,
        mpidr: u64,
    ) -> Result<(), HwError> {
        let mut gicd = gicd.reborrow();
        reset!(
            gicd, self.nmi, mpidr, word + 1, word, "",
            icfgr icpendr icactiver igroupr ipriorityr inmir irouter isenabler isactiver
        )
    }

    /// The same for extended SPIs, from the first register of each kind on.
    fn reset_extended(
        &self,
        gicd: &mut UniqueMmioPointer<'_, Gicd>,
        word: usize,
        mpidr: u64,
    ) -> Result<(), HwError> {
        let mut gicd = gicd.reborrow();
        reset!(
            gicd, self.nmi, mpidr, word, word, "E",
            icfgr_e icpendr_e icactive_e igroupr_e ipriorityr_e inmr_e irouter_e isenabler_e isactiver_e
        )
    }
}
