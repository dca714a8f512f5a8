// SPDX-License-Identifier: Apache-2.0
//! LPIs that cannot be switched off once they are on: tables that all kernels use.
//!
//! Each CPU gives them to its own redistributor as it comes from firmware, since of another CPU's
//! the power may be off; and again where it comes back and the redistributor has lost its registers.

use super::GicV3;
use super::lpi::LpiTables;
use crate::arch::cache;
use baton_core::hw_error::HwError;
use baton_core::memory::region::Region;

/// Bits of an LPI's number in the tables that are pre-set: 8192 to 65535.
const LPI_BITS: u8 = 16;
/// The property table, and each pending table, starts on a block of this size.
const LPI_BLOCK: u64 = 64 << 10;
/// A byte for each LPI.
const PROPERTIES: usize = (1 << LPI_BITS) - 8192;

/// Memory for tables of LPIs.
pub(super) struct Offer {
    /// The property table, then a pending table for each redistributor.
    memory: Region,
    /// LPIs are assumed to stay on.
    keep: bool,
}

impl GicV3 {
    /// Returns how many bytes of memory, aligned to 64 KiB, the tables of LPIs need if LPIs may
    /// stay on once they are; `None` if redistributors can switch them off. `keep`: assume that none
    /// can. To be called on the CPU `mpidr`, whose redistributor answers for all.
    pub fn lpi_tables(&self, mpidr: u64, keep: bool) -> Option<u64> {
        let mut own = self.frames.of(mpidr)?.lock();
        // One that stays off is reported as its CPU is set up.
        let sticks = own.power_up().is_ok() && own.lpis_may_stick(keep);
        sticks.then(|| LPI_BLOCK * (1 + self.frames.iter().count() as u64))
    }

    /// Has each redistributor that cannot switch LPIs off use tables in `memory`, whose size is that
    /// of [`GicV3::lpi_tables`], from [`GicV3::preset_lpis`] on. To be called once. `keep`: assume
    /// that none can.
    ///
    /// # Safety
    ///
    /// `memory` is zero, and nothing else ever uses it; a guest may, in its property table.
    pub unsafe fn offer_lpi_tables(&self, memory: Region, keep: bool) {
        self.offered.call_once(|| Offer { memory, keep });
    }

    /// Gives the redistributor of the CPU `mpidr`, which runs this, the tables that were offered, if
    /// it cannot switch LPIs off and does not have them already. Returns whether it uses them.
    ///
    /// # Errors
    ///
    /// As [`Redistributor::preset_lpis`](super::redistributor::Redistributor::preset_lpis).
    pub fn preset_lpis(&self, mpidr: u64) -> Result<bool, HwError> {
        let own = self.offered.get().zip(self.frames.place(mpidr));
        let Some((offer, (place, frame))) = own else {
            return Ok(false);
        };
        let tables = LpiTables {
            property: offer.memory.start(),
            pending: offer.memory.start() + LPI_BLOCK * (1 + place as u64),
            id_bits: LPI_BITS,
            coherent: self.coherent,
        };
        // No other CPU's guest chooses tables for it meanwhile.
        let _turn = self.guest_stores.lock();
        // SAFETY: Whoever offered the memory vouched for it; each redistributor has a block of its own.
        let in_use = unsafe { frame.lock().preset_lpis(tables, offer.keep) }?;
        if in_use {
            self.kept_properties.call_once(|| offer.memory);
        }
        Ok(in_use)
    }

    /// Returns whether any redistributor has LPIs on.
    pub fn has_lpis_on(&self) -> bool {
        self.frames.iter().any(|frame| {
            let mut frame = frame.lock();
            frame.has_power() && frame.has_lpis_on()
        })
    }

    /// Disables every LPI in the property table that is kept, if there is one. To be called when no
    /// other CPU uses the GIC.
    pub fn disable_kept_lpis(&self) {
        if let Some(memory) = self.kept_properties.get() {
            // SAFETY: The table is in guest memory, which is mapped; no vCPU runs.
            unsafe { (memory.start() as *mut u8).write_bytes(0, PROPERTIES) }
            cache::clean_to_poc(memory.start() as usize, PROPERTIES);
        }
    }
}

#[cfg(test)]
mod tests;
