// SPDX-License-Identifier: Apache-2.0
//! Devices' accesses to memory: they end with the kernel that has set them up.

mod segment;
mod shadow;
mod smmu;
mod smmu_v2;

pub use shadow::Full;
pub use smmu::Smmu;

use crate::arch::time::Deadline;
use alloc::vec::Vec;
use baton_core::hardware::Dma as Described;
use baton_core::hw_error::HwError;
use baton_core::memory::region::Region;
use baton_core::smmu::entry::Stage2;
use core::mem::take;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use segment::Segment;
use smmu_v2::SmmuV2;

/// How long the walk through all of PCI may take, in microseconds, at a takeover and at boot. A read of a function
/// that is there takes about one, where it is not, less; one whose link is down answers at once.
const WALK_US: u64 = 100_000;

/// Where devices' accesses to memory can be stopped.
pub struct Dma {
    segments: Vec<Segment>,
    /// SMMUs with a fence, and the others.
    fenced: Vec<Smmu>,
    smmus: Vec<Smmu>,
    smmus_v2: Vec<SmmuV2>,
    /// How many functions of PCI the last takeover has stopped, and how many SMMUs it has shut.
    stopped: AtomicU64,
    shut: AtomicU64,
}

impl Dma {
    /// Takes all that is described.
    ///
    /// # Safety
    ///
    /// The registers that are described are there, and mapped as device memory as long as the monitor lives. This is
    /// called once.
    pub unsafe fn new(described: &Described) -> Self {
        let deadline = Deadline::after_us(WALK_US);
        let segments = described.segments.iter();
        // SAFETY: The caller's promise.
        let smmu = |registers: &Region| answering(registers, unsafe { Smmu::new(registers) });
        // SAFETY: The caller's promise.
        let smmu_v2 = |registers: &Region| answering(registers, unsafe { SmmuV2::new(registers) });
        Self {
            // SAFETY: The caller's promise.
            segments: segments
                .map(|ecam| unsafe { Segment::new(*ecam, &deadline) })
                .collect(),
            fenced: Vec::new(),
            smmus: described.smmus.iter().filter_map(smmu).collect(),
            smmus_v2: described.smmus_v2.iter().filter_map(smmu_v2).collect(),
            stopped: AtomicU64::new(0),
            shut: AtomicU64::new(0),
        }
    }

    /// Prepares a fence for each SMMU that can have one, where stage 2 has `bits` of address, and says which have none.
    pub fn prepare_fences(&mut self, bits: u32) {
        if self.smmus.is_empty() {
            log::warn!("smmu=fence: there is no SMMUv3");
        }
        for smmu in take(&mut self.smmus) {
            match smmu.prepare_fence(bits) {
                Ok(()) => self.fenced.push(smmu),
                Err(error) => {
                    log::warn!("SMMU at {:#x}: no fence: {error}", smmu.base());
                    self.smmus.push(smmu);
                }
            }
        }
    }

    /// Returns the SMMUs with a fence.
    pub fn fenced(&self) -> impl Iterator<Item = &Smmu> {
        self.fenced.iter()
    }

    /// Opens those to stage 2.
    pub fn open_fences(&self, stage2: Stage2) {
        for smmu in self.fenced() {
            let base = smmu.base();
            match smmu.open_to_stage_2(stage2) {
                Ok(()) => log::info!(
                    "SMMU at {base:#x}: its devices reach the guest's memory alone; {} groups of 64 streams at most",
                    shadow::GROUPS
                ),
                Err(error) => log::warn!("SMMU at {base:#x}: {error}; it is shut"),
            }
        }
    }

    /// Returns the SMMU with a fence that has registers at the physical `address`.
    pub fn fenced_at(&self, address: u64) -> Option<&Smmu> {
        self.fenced().find(|smmu| smmu.guards(address))
    }

    /// Returns the SMMU with a fence that is told of commands at the physical `address`.
    #[inline]
    pub fn told_at(&self, address: u64) -> Option<&Smmu> {
        // Nearly always there is one.
        let mut rest = self.fenced.as_slice();
        while let [smmu, others @ ..] = rest {
            if smmu.is_told_at(address) {
                return Some(smmu);
            }
            rest = others;
        }
        None
    }

    /// Returns how many functions of PCI the last takeover has stopped.
    pub fn stopped(&self) -> u64 {
        self.stopped.load(Relaxed)
    }

    /// Returns how many SMMUs the last takeover has shut.
    pub fn shut(&self) -> u64 {
        self.shut.load(Relaxed)
    }

    /// Prepares for devices to be stopped. To be called by one CPU at each takeover, before any is.
    pub fn begin(&self) {
        self.stopped.store(0, Relaxed);
        self.shut.store(0, Relaxed);
        self.segments.iter().for_each(Segment::begin);
    }

    /// Shuts all SMMUs; with `open`, they then let everything through.
    ///
    /// To be called by one CPU, when nobody else uses them.
    ///
    /// # Errors
    ///
    /// The first [`HwError`] of an SMMU that is not shut as it should be. All others are.
    pub fn shut_smmus(&self, open: bool) -> Result<(), HwError> {
        let mut result = Ok(());
        let mut shut = 0;
        let v3 = self.fenced.iter().chain(&self.smmus);
        let v3 = v3.map(|smmu| (smmu.base(), smmu.shut(open)));
        let v2 = self.smmus_v2.iter();
        for (base, done) in v3.chain(v2.map(|smmu| (smmu.base(), smmu.shut(open)))) {
            match done {
                Ok(()) if open => log::info!("SMMU at {base:#x}: open (smmu=bypass)"),
                Ok(()) => {
                    shut += 1;
                    log::info!("SMMU at {base:#x}: shut until a driver sets it up");
                }
                Err(error) => result = result.and(Err(error)),
            }
        }
        self.shut.store(shut, Relaxed);
        result
    }

    /// Takes bus mastering away from functions of PCI, but for bridges: of each bus that no other CPU looks at. When all
    /// CPUs that call this have returned, those of all buses are stopped.
    ///
    /// # Errors
    ///
    /// [`HwError::Sticky`] for a function that stays a master of its bus, [`HwError::Timeout`] if there may be more
    /// functions than were found in time. All others are stopped.
    pub fn stop_functions(&self) -> Result<(), HwError> {
        let deadline = Deadline::after_us(WALK_US);
        let segments = self.segments.iter();
        self.sum(segments.map(|segment| segment.stop_functions(&deadline, WALK_US)))
    }

    /// Takes it away from the bridges. What functions had written before is in memory when this returns, and nothing
    /// comes after it.
    ///
    /// To be called by one CPU, when all functions are stopped.
    ///
    /// # Errors
    ///
    /// [`HwError::Sticky`], as [`Self::stop_functions`].
    pub fn stop_bridges(&self) -> Result<(), HwError> {
        self.sum(self.segments.iter().map(Segment::stop_bridges))
    }

    /// Counts what was stopped in each segment; returns the first error.
    fn sum(
        &self,
        segments: impl Iterator<Item = (u64, Result<(), HwError>)>,
    ) -> Result<(), HwError> {
        let mut all = Ok(());
        for (count, result) in segments {
            if count > 0 {
                self.stopped.fetch_add(count, Relaxed);
            }
            all = all.and(result);
        }
        all
    }
}

/// Names an SMMU that is not served.
fn answering<T>(registers: &Region, smmu: Option<T>) -> Option<T> {
    if smmu.is_none() {
        log::warn!("SMMU at {registers}: it does not answer, and is left alone");
    }
    smmu
}

#[cfg(test)]
pub mod fake;
#[cfg(test)]
mod tests;
