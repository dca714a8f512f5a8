// SPDX-License-Identifier: Apache-2.0
//! LPIs of a redistributor, physical and virtual (Arm IHI 0069, 5.1 and 12.11).

use super::redistributor::Redistributor;
use super::{RWP_US, wait_clear};
use crate::arch::verify::expect;
use arm_gic::gicv3::registers::GicrCtlr;
use baton_core::gic_tables::Lpis;
use baton_core::hw_error::HwError;
use safe_mmio::{UniqueMmioPointer, field, field_shared};
use zerocopy::transmute;

/// Bits 51 to 12 of `GICR_PROPBASER` and, with zeros, of `GICR_PENDBASER`: where the table is.
/// Cacheability and shareability may be fixed.
const TABLE: u64 = 0xf_ffff_ffff_f000;

/// `GICR_VPENDBASER.Valid`, `GICR_VPROPBASER.Valid` (GICv4.1).
const VALID: u64 = 1 << 63;

/// `GICR_VPENDBASER.PendingLast`: what a vPE that leaves has pending is of no interest (GICv4.1).
const PENDING_LAST: u64 = 1 << 61;

/// `GICR_TYPER.RVPEID`: GICv4.1, in which `GICR_VPENDBASER` names a vPE by its number.
const RVPEID: u64 = 1 << 7;

/// `GICR_VPENDBASER.Dirty`: the virtual pending table is still being written.
const DIRTY: u64 = 1 << 60;

/// `GICR_PENDBASER.PTZ`: the pending table is zero, and need not be read.
const PENDING_ZERO: u64 = 1 << 62;

/// Inner shareable, write-back: what a CPU stores in a table needs no cache maintenance.
const CACHED: u64 = 1 << 10 | 7 << 7;

/// Non-shareable, Non-cacheable: for a GIC that does not see what is in the caches of CPUs.
const UNCACHED: u64 = 1 << 7;

/// `GICR_SYNCR.Busy`.
const BUSY: u64 = 1;

/// Tables of LPIs in memory that no kernel may reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LpiTables {
    /// Physical address of the property table, of 2^`id_bits` - 8192 bytes, at 4 KiB; one for all
    /// redistributors.
    pub property: u64,
    /// Physical address of this redistributor's pending table, of 2^`id_bits` / 8 bytes, at 64 KiB.
    pub pending: u64,
    /// Bits of an interrupt's number, 14 to 32.
    pub id_bits: u8,
    /// The redistributor sees what is in the caches of CPUs.
    pub coherent: bool,
}

impl Redistributor {
    /// Finds out whether LPIs can be switched off again, and if they cannot, leaves them on with
    /// `tables`. The next kernel then finds the tables as pre-set, in memory that is reserved for
    /// them, and no kernel can name others.
    ///
    /// Returns whether `tables` are in use. To be called on the redistributor's own CPU, each time
    /// that it comes from firmware, before its guest runs: a redistributor that has had `tables`
    /// and lost its registers with its power gets them again, with what is pending in them.
    /// One that says that LPIs can be switched off (`GICR_CTLR.CES`) is not touched, unless it
    /// is to `keep` them on nonetheless.
    ///
    /// # Errors
    ///
    /// As [`reset_lpis`](Self::reset_lpis): firmware, or a guest, has left LPIs on and they stay so,
    /// with other tables. [`HwError::Timeout`] if it does not wake, or does not say in time that it is done.
    ///
    /// # Safety
    ///
    /// The tables must be zero the first time, and once they are in use, nothing but the GIC may
    /// ever write to the pending table.
    pub unsafe fn preset_lpis(&mut self, tables: LpiTables, keep: bool) -> Result<bool, HwError> {
        if self.preset {
            if !self.has_lpis_on() {
                self.enable_lpis(tables, 0)?;
            }
            return Ok(true);
        }
        if !self.lpis_may_stick(keep) {
            return Ok(false);
        }
        self.reset_lpis()?;
        self.enable_lpis(tables, PENDING_ZERO)?;
        if keep {
            self.preset = true;
            return Ok(true);
        }
        match self.reset_lpis() {
            Err(HwError::Sticky {
                register: "GICR_CTLR",
                ..
            }) => {
                self.preset = true;
                Ok(true)
            }
            result => result.map(|()| false),
        }
    }

    /// Switches LPIs on with `tables`. `pending`: [`PENDING_ZERO`], or 0 if the pending table is to be
    /// read.
    fn enable_lpis(&mut self, tables: LpiTables, pending: u64) -> Result<(), HwError> {
        self.wake()?;
        let mut gicr = self.gicr();
        let id_bits = u64::from(tables.id_bits.clamp(14, 32) - 1);
        let attributes = if tables.coherent { CACHED } else { UNCACHED };
        field!(gicr, propbaser).write(tables.property & TABLE | attributes | id_bits);
        field!(gicr, pendbaser).write(tables.pending & TABLE | attributes | pending);
        field!(gicr, ctlr).write(GicrCtlr::EnableLPIs);
        self.wait()
    }

    /// Switches LPIs off and forgets their tables, first the virtual ones; and lets interrupts that
    /// may go to any CPU come to this one again (`GICR_CTLR.DPG…`).
    ///
    /// Where [`preset_lpis`](Self::preset_lpis) found that LPIs stay on, they do:
    /// [`forget_properties`](Self::forget_properties) disables each of them.
    ///
    /// # Errors
    ///
    /// [`HwError::Timeout`] if the redistributor does not say in time that it is done;
    /// [`HwError::Sticky`] with `GICR_CTLR` if LPIs cannot be switched off any more
    /// (`GICR_CTLR.CES` may be clear then): the tables stay in use, and stay named.
    pub fn reset_lpis(&mut self) -> Result<(), HwError> {
        let result = self.reset_virtual_lpis();
        if self.preset {
            return result.and(self.wait());
        }
        let mut gicr = self.gicr();
        field!(gicr, ctlr).write(GicrCtlr::empty());
        let result = result.and(self.wait());
        let mut gicr = self.gicr();
        if !field_shared!(gicr, typer).read().physical_lpis_supported() {
            return result;
        }
        let ctlr = field_shared!(gicr, ctlr).read();
        if ctlr.contains(GicrCtlr::EnableLPIs) {
            // Writing the table registers now would be UNPREDICTABLE.
            return result.and(Err(HwError::Sticky {
                register: "GICR_CTLR",
                wanted: 0,
                found: ctlr.bits().into(),
            }));
        }
        field!(gicr, propbaser).write(0);
        field!(gicr, pendbaser).write(0);
        let propbaser = field_shared!(gicr, propbaser).read();
        let pendbaser = field_shared!(gicr, pendbaser).read();
        result
            .and(expect("GICR_PROPBASER", 0, TABLE, propbaser))
            .and(expect("GICR_PENDBASER", 0, TABLE, pendbaser))
    }

    /// Returns whether LPIs are on.
    pub fn has_lpis_on(&mut self) -> bool {
        let ctlr = field_shared!(self.gicr(), ctlr).read();
        ctlr.contains(GicrCtlr::EnableLPIs)
    }

    /// Returns the registers of LPIs; `id_bits` as in [`Lpis::id_bits`].
    pub fn lpis(&mut self, id_bits: u32) -> Lpis {
        let gicr = self.gicr();
        Lpis {
            ctlr: field_shared!(gicr, ctlr).read().bits().into(),
            propbaser: field_shared!(gicr, propbaser).read(),
            pendbaser: field_shared!(gicr, pendbaser).read(),
            id_bits,
        }
    }

    /// Returns whether LPIs may stay on once they are. `keep`: assume that they do.
    pub fn lpis_may_stick(&mut self, keep: bool) -> bool {
        let typer = field_shared!(self.gicr(), typer).read();
        let ctlr = field_shared!(self.gicr(), ctlr).read();
        typer.physical_lpis_supported() && (keep || !ctlr.contains(GicrCtlr::CES))
    }

    /// Where LPIs stay on, drops what is cached of the property table, as far as that can be asked
    /// for (`GICR_CTLR.IR`). The caller has zeroed the table: no LPI is enabled then.
    ///
    /// # Errors
    ///
    /// [`HwError::Timeout`] if the redistributor does not say in time that it is done.
    pub fn forget_properties(&mut self) -> Result<(), HwError> {
        if !self.preset {
            return Ok(());
        }
        let mut gicr = self.gicr();
        let direct = field_shared!(gicr, typer).read().direct_lpis_supported();
        if !direct && !field_shared!(gicr, ctlr).read().contains(GicrCtlr::IR) {
            return Ok(());
        }
        field!(gicr, invallr).write(0);
        wait_clear(
            "GICR_SYNCR",
            RWP_US,
            || field_shared!(gicr, syncr).read().into(),
            |syncr| syncr & BUSY != 0,
        )
    }

    /// Leaves no virtual CPU resident, and no table of virtual LPIs (GICv4, GICv4.1).
    ///
    /// # Errors
    ///
    /// [`HwError::Timeout`] if one stays resident: its tables are in use, and stay named.
    /// [`HwError::Sticky`] with the register that did not take its value.
    fn reset_virtual_lpis(&mut self) -> Result<(), HwError> {
        let typer: u64 = transmute!(field_shared!(self.gicr(), typer).read());
        let Some(mut vlpi) = self.virtual_lpis.as_mut().map(UniqueMmioPointer::reborrow) else {
            return Ok(());
        };
        let resident = field_shared!(vlpi, vpendbaser).read();
        if resident & VALID != 0 {
            // In GICv4.1 this clears Doorbell too: as the vPE leaves, it asks for no LPI.
            let leaving = if typer & RVPEID != 0 {
                PENDING_LAST
            } else {
                resident & !VALID
            };
            field!(vlpi, vpendbaser).write(leaving);
        }
        wait_clear(
            "GICR_VPENDBASER",
            RWP_US,
            || field_shared!(vlpi, vpendbaser).read(),
            |vpendbaser| vpendbaser & (DIRTY | VALID) != 0,
        )?;
        field!(vlpi, vpendbaser).write(0);
        field!(vlpi, vpropbaser).write(0);
        let vpendbaser = field_shared!(vlpi, vpendbaser).read();
        let vpropbaser = field_shared!(vlpi, vpropbaser).read();
        expect("GICR_VPENDBASER", 0, VALID, vpendbaser).and(expect(
            "GICR_VPROPBASER",
            0,
            VALID,
            vpropbaser,
        ))
    }
}

#[cfg(test)]
mod tests;
