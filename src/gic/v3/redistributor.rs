// SPDX-License-Identifier: Apache-2.0
//! One CPU's redistributor: its SGIs and PPIs (Arm IHI 0069, 12.11).

use super::{RWP_US, wait_clear};
use crate::arch::verify::expect;
use arm_gic::gicv3::registers::{Gicr, GicrCtlr, GicrSgi, Sgi};
use baton_core::hw_error::HwError;
use safe_mmio::fields::ReadPureWrite;
use safe_mmio::{UniqueMmioPointer, field, field_shared};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// SGIs are the first 16 interrupts of a CPU.
const SGIS: u32 = 0xffff;

/// The registers of VLPI_base.
#[derive(Clone, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C, align(8))]
pub struct Vlpi {
    _reserved0: [u32; 28],
    /// `GICR_VPROPBASER`, at 0x70.
    pub(super) vpropbaser: ReadPureWrite<u64>,
    /// `GICR_VPENDBASER`, at 0x78.
    pub(super) vpendbaser: ReadPureWrite<u64>,
}

/// The registers of one redistributor.
pub struct Redistributor {
    registers: UniqueMmioPointer<'static, GicrSgi>,
    pub(super) virtual_lpis: Option<UniqueMmioPointer<'static, Vlpi>>,
    /// LPIs cannot be switched off: they stay on, with the monitor's own tables.
    pub(super) preset: bool,
    /// Interrupts can be non-maskable (`GICD_TYPER.NMI`).
    nmi: bool,
    /// How the guest had the SGI of a kick from outside.
    before_kick: Option<BeforeKick>,
}

/// An SGI, as [`Redistributor::kick_from_outside`] found it.
#[derive(Clone, Copy, Debug)]
struct BeforeKick {
    priority: u8,
    in_group1: bool,
    enabled: bool,
}

/// Writes a value to `count` registers of an array, from the one at `first` on, as far as there are any.
macro_rules! fill {
    ($block:expr, $registers:ident[$first:expr; $count:expr], $value:expr) => {
        let mut registers = field!($block, $registers);
        let mut registers = registers.as_mut_slice();
        let end = ($first + $count).min(registers.len());
        if let Some(mut registers) = registers.get_range($first..end) {
            for mut register in registers.iter() {
                register.write($value);
            }
        }
    };
}

/// Returns the OR of `count` registers of an array, from the one at `first` on.
macro_rules! any {
    ($block:expr, $registers:ident[$first:expr; $count:expr]) => {{
        let registers = field_shared!($block, $registers);
        let range = registers.get_range($first..$first + $count);
        range.map_or(0, |registers| {
            let values = registers.iter().map(|register| register.read());
            values.fold(0, |all, value| all | value)
        })
    }};
}

pub(in crate::gic) use {any, fill};

impl Redistributor {
    /// Takes the frames of one redistributor.
    pub(super) fn new(
        registers: UniqueMmioPointer<'static, GicrSgi>,
        virtual_lpis: Option<UniqueMmioPointer<'static, Vlpi>>,
        nmi: bool,
    ) -> Self {
        Self {
            registers,
            virtual_lpis,
            preset: false,
            nmi,
            before_kick: None,
        }
    }

    /// Returns RD_base.
    pub(super) fn gicr(&mut self) -> UniqueMmioPointer<'_, Gicr> {
        field!(self.registers, gicr)
    }

    /// Returns SGI_base.
    fn sgi(&mut self) -> UniqueMmioPointer<'_, Sgi> {
        field!(self.registers, sgi)
    }

    /// Waits until the writes to enables, and to `GICR_CTLR`, have had their effect.
    ///
    /// # Errors
    ///
    /// [`HwError::Timeout`] after 10 ms.
    pub fn wait(&mut self) -> Result<(), HwError> {
        let gicr = self.gicr();
        wait_clear(
            "GICR_CTLR",
            RWP_US,
            || field_shared!(gicr, ctlr).read().bits().into(),
            |ctlr| ctlr & u64::from(GicrCtlr::RWP.bits()) != 0,
        )
    }

    /// Leaves SGIs, PPIs and extended PPIs disabled, not pending, not active, in group 0, of the
    /// highest priority, maskable, level-sensitive.
    ///
    /// The CPU's own devices should be quiet before: a level-sensitive interrupt that is still
    /// signalled stays pending.
    ///
    /// # Errors
    ///
    /// [`HwError::Timeout`] if the enables do not take effect in time, [`HwError::Sticky`] if an
    /// interrupt stays enabled or active. Pending ones are not checked here: a kick can still
    /// arrive, and a level that is still signalled stays; [`drop_sgis`](Self::drop_sgis) checks the
    /// SGIs.
    pub fn reset_private(&mut self) -> Result<(), HwError> {
        let nmi = self.nmi;
        self.before_kick = None;
        // 32 interrupts a register: one for SGIs and PPIs, up to two for extended PPIs.
        let typer = field_shared!(self.gicr(), typer).read();
        let words = 1 + (typer.max_eppi_count() as usize / 32).min(2);

        let mut sgi = self.sgi();
        fill!(sgi, icenabler[0; words], u32::MAX);
        let waited = self.wait();
        let mut sgi = self.sgi();
        // Before pending is cleared: a level-sensitive interrupt keeps no edge. The first register
        // is that of the SGIs, which are always edge-triggered.
        fill!(sgi, icfgr[1; 2 * words - 1], 0);
        fill!(sgi, icpendr[0; words], u32::MAX);
        fill!(sgi, icactiver[0; words], u32::MAX);
        fill!(sgi, igroupr[0; words], 0);
        fill!(sgi, igrpmodr[0; words], 0);
        fill!(sgi, ipriorityr[0; 8 * words], 0);
        field!(sgi, nsacr).write(0);
        if nmi {
            fill!(sgi, inmir[0; words], 0);
        }

        waited
            .and(expect(
                "GICR_ISENABLER",
                0,
                !0,
                any!(sgi, isenabler[0; words]).into(),
            ))
            .and(expect(
                "GICR_ISACTIVER",
                0,
                !0,
                any!(sgi, isactiver[0; words]).into(),
            ))
            .and(expect(
                "GICR_IGROUPR",
                0,
                !0,
                any!(sgi, igroupr[0; words]).into(),
            ))
            .and(expect(
                "GICR_IPRIORITYR",
                0,
                !0,
                any!(sgi, ipriorityr[0; 8 * words]).into(),
            ))
    }

    /// Leaves no SGI pending: to be called when no CPU sends any more, since a kick may arrive on a
    /// CPU that has already reset its redistributor.
    ///
    /// # Errors
    ///
    /// [`HwError::Sticky`] if one is still pending.
    pub fn drop_sgis(&mut self) -> Result<(), HwError> {
        let mut sgi = self.sgi();
        fill!(sgi, icpendr[0; 1], SGIS);
        let pending = any!(sgi, ispendr[0; 1]) & SGIS;
        expect("GICR_ISPENDR0", 0, !0, pending.into())
    }

    /// Enables SGI `sgi` (0 to 15) in group 1 and gives it the highest priority, for a CPU that
    /// does not answer the kick. `awaited` is called while this redistributor is locked: if the CPU
    /// has arrived meanwhile, nothing is done, and what it resets stays reset.
    ///
    /// Returns whether it was done.
    pub fn kick_from_outside(&mut self, sgi: u8, awaited: impl FnOnce() -> bool) -> bool {
        let number = usize::from(sgi & 0xf);
        if !awaited() {
            return false;
        }
        let mut block = self.sgi();
        let mut found = 0;
        if let Some(mut priority) = Sgi::ipriorityr_bytes(&mut block).get(number) {
            found = priority.read();
            priority.write(0);
        }
        let bit = 1 << number;
        let in_group1 = any!(block, igroupr[0; 1]) & bit != 0;
        let enabled = any!(block, isenabler[0; 1]) & bit != 0;
        if let Some(mut group) = field!(block, igroupr).get(0) {
            group.modify(|bits| bits | bit);
        }
        fill!(block, isenabler[0; 1], bit);
        self.before_kick.get_or_insert(BeforeKick {
            priority: found,
            in_group1,
            enabled,
        });
        true
    }

    /// Puts SGI `sgi` (0 to 15) back as [`kick_from_outside`](Self::kick_from_outside) found it, if it
    /// was kicked so: its guest goes on. The SGI itself may stay pending: it may be the guest's.
    pub fn put_back(&mut self, sgi: u8) {
        let number = usize::from(sgi & 0xf);
        let Some(before) = self.before_kick.take() else {
            return;
        };
        let mut block = self.sgi();
        let bit = 1 << number;
        if !before.enabled {
            fill!(block, icenabler[0; 1], bit);
        }
        if !before.in_group1
            && let Some(mut group) = field!(block, igroupr).get(0)
        {
            group.modify(|bits| bits & !bit);
        }
        if let Some(mut priority) = Sgi::ipriorityr_bytes(&mut block).get(number) {
            priority.write(before.priority);
        }
    }
}

#[cfg(test)]
mod tests;
