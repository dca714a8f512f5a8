// SPDX-License-Identifier: Apache-2.0
//! GICv2 (Arm IHI 0048B), by what a guest at Non-secure EL1 can have left in it.
//!
//! SGIs, PPIs and the CPU interface are banked: each CPU has its own behind one address, which no
//! other CPU reaches. Where the GIC has the Security Extensions, group 0 is firmware's and RAZ/WI
//! here: a value of zero can be both written and expected.

mod cpu_interface;
mod distributor;

use crate::arch::barrier;
use crate::gic::block::Block;
use baton_core::hw_error::HwError;
use baton_core::mpidr::AFFINITY;
use baton_core::sync::Lock;
use core::num::NonZero;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use distributor::BeforeKick;
use thiserror::Error;

/// CPU interfaces that a GICv2 can have.
const INTERFACES: usize = 8;
/// `GICD_PIDR2.ArchRev`.
const REVISION: u32 = 2;
/// Marks an affinity in [`GicV2::interfaces`] as one that was seen.
const SEEN: u64 = 1 << 63;

/// The addresses in the device tree are not those of a GICv2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GicV2Error {
    /// An address is zero, or not on a page of 4 KiB.
    #[error("no GIC can be at {base:#x}")]
    BadAddress {
        /// The address.
        base: usize,
    },
    /// What is there does not say that it is a GICv2.
    #[error("no GICv2 at {base:#x}: architecture revision {revision}")]
    NotV2 {
        /// The address.
        base: usize,
        /// `GICD_PIDR2.ArchRev`.
        revision: u32,
    },
}

/// A GICv2.
pub struct GicV2 {
    distributor: Block<distributor::Registers>,
    cpu_interface: Block<cpu_interface::Registers>,
    /// Held while what CPUs share of the distributor is changed: what a kick from outside has found.
    shared: Lock<Option<BeforeKick>>,
    /// `GICC_CTLR` in the bits that are firmware's to choose.
    bypass: u32,
    /// The affinity of the CPU of each interface, once it has come.
    interfaces: [AtomicU64; INTERFACES],
}

impl GicV2 {
    /// Takes the GIC whose distributor is at `gicd`, and whose CPU interface is at `gicc`.
    /// Addresses are physical, mapped 1:1.
    ///
    /// # Errors
    ///
    /// [`GicV2Error`] if nothing can be there, or it is no GICv2.
    ///
    /// # Safety
    ///
    /// The addresses must be those of the machine's GIC, mapped as device memory as long as the
    /// monitor lives (4 KiB each), and nothing else in the monitor may use them.
    pub unsafe fn new(gicd: usize, gicc: usize) -> Result<Self, GicV2Error> {
        // SAFETY: Handed on to the caller.
        let (distributor, cpu_interface) = unsafe { (block(gicd)?, block(gicc)?) };
        match distributor::revision(distributor.registers()) {
            REVISION => Ok(Self {
                bypass: cpu_interface::bypass(cpu_interface.registers()),
                distributor,
                cpu_interface,
                shared: Lock::new(None),
                interfaces: [const { AtomicU64::new(0) }; INTERFACES],
            }),
            revision => Err(GicV2Error::NotV2 {
                base: gicd,
                revision,
            }),
        }
    }

    /// Learns which interface is that of the CPU that runs this, `mpidr`. One that comes for the
    /// first time, or from firmware, finds nothing that others sent it meanwhile.
    ///
    /// # Errors
    ///
    /// As [`GicV2::reset_private`].
    pub fn cpu_online(&self, mpidr: u64) -> Result<(), HwError> {
        // The only CPU of a GIC may see no targets: any interface is its.
        let own = distributor::own_targets(self.distributor.registers()) | 1 << (INTERFACES - 1);
        let seen = SEEN | mpidr & AFFINITY;
        match self.interfaces.get(own.trailing_zeros() as usize) {
            Some(interface) if interface.swap(seen, AcqRel) != seen => {
                self.reset_private().and(self.drop_sgis())
            }
            _ => Ok(()),
        }
    }

    /// The CPU `mpidr` goes to firmware.
    pub fn cpu_offline(&self, mpidr: u64) {
        if let Some(interface) = self.interface(mpidr) {
            self.interfaces[interface].store(0, Release);
        }
    }

    /// Returns the number of the interface of the CPU `mpidr`, if it has come.
    fn interface(&self, mpidr: u64) -> Option<usize> {
        let seen = SEEN | mpidr & AFFINITY;
        self.interfaces
            .iter()
            .position(|interface| interface.load(Acquire) == seen)
    }

    /// Sends SGI `sgi` (0 to 15) to every other CPU.
    pub fn send_to_all_others(&self, sgi: u8) {
        // What was stored before is seen by who takes the interrupt.
        barrier::dsb_ish();
        distributor::send_to_all_others(self.distributor.registers(), sgi);
    }

    /// Makes shared interrupts of both groups pending for the CPU `mpidr`, so that one gets through
    /// whatever it has set up for its SGIs, which only it can change. They stay pending until the
    /// distributor is reset.
    pub fn kick_from_outside(&self, mpidr: u64) {
        if let Some(interface) = self.interface(mpidr) {
            let mut before = self.shared.lock();
            before.get_or_insert_with(|| BeforeKick::read(self.distributor.registers()));
            barrier::dsb_ish();
            distributor::raise_shared(self.distributor.registers(), 1 << interface);
        }
    }

    /// Puts back what [`GicV2::kick_from_outside`] has changed: the guest goes on.
    pub fn put_back_kicks(&self) {
        if let Some(before) = self.shared.lock().take() {
            before.put_back(self.distributor.registers());
        }
    }

    /// Returns whether no interrupt reaches the CPU that runs this, of whatever priority.
    pub fn kick_is_masked(&self) -> bool {
        cpu_interface::kick_is_masked(self.cpu_interface.registers())
    }

    /// Runs `wait` while the CPU interface of the CPU that runs this lets the highest priorities
    /// through.
    pub fn listening<T>(&self, wait: impl FnOnce() -> T) -> T {
        let saved = cpu_interface::listen(self.cpu_interface.registers());
        let result = wait();
        saved.restore(self.cpu_interface.registers());
        result
    }

    /// Resets the CPU interface of the CPU that runs this.
    ///
    /// # Errors
    ///
    /// [`HwError::Sticky`] with the first register that did not take its value.
    pub fn reset_cpu_interface(&self) -> Result<(), HwError> {
        cpu_interface::reset(self.cpu_interface.registers(), self.bypass)
    }

    /// Resets SGIs and PPIs of the CPU that runs this.
    ///
    /// # Errors
    ///
    /// [`HwError::Sticky`] with the first register that did not take its value.
    pub fn reset_private(&self) -> Result<(), HwError> {
        distributor::reset_private(self.distributor.registers())
    }

    /// Leaves no SGI pending on the CPU that runs this.
    ///
    /// # Errors
    ///
    /// [`HwError::Sticky`] with the first register that did not take its value.
    pub fn drop_sgis(&self) -> Result<(), HwError> {
        distributor::drop_sgis(self.distributor.registers())
    }

    /// Switches the distributor off, and disables all SPIs. To be called when no other CPU uses it.
    pub fn quiesce(&self) {
        let mut before_kick = self.shared.lock();
        *before_kick = None;
        distributor::quiesce(self.distributor.registers());
    }

    /// Resets the SPIs of the part `place` of `of`: many CPUs may do so at once, each its own part, when
    /// [`GicV2::quiesce`] has returned, and nobody else uses the distributor.
    ///
    /// # Errors
    ///
    /// [`HwError::Sticky`] with the first register that did not take its value.
    pub fn reset_spis(&self, place: usize, of: usize) -> Result<(), HwError> {
        distributor::reset_spis(self.distributor.registers(), place, of)
    }

    /// Has every SPI that goes to the CPU `from` alone go to the CPU `to` instead, and none to
    /// `from`.
    pub fn move_spis(&self, from: u64, to: u64) {
        if let (Some(from), Some(to)) = (self.interface(from), self.interface(to)) {
            let _shared = self.shared.lock();
            distributor::retarget(self.distributor.registers(), 1 << from, 1 << to);
        }
    }
}

/// Takes the block of registers at `base`.
///
/// # Safety
///
/// As [`GicV2::new`].
unsafe fn block<T>(base: usize) -> Result<Block<T>, GicV2Error> {
    match NonZero::new(base) {
        // SAFETY: The caller's promise.
        Some(address) if base & 0xfff == 0 => unsafe {
            Ok(Block::new(NonNull::with_exposed_provenance(address)))
        },
        _ => Err(GicV2Error::BadAddress { base }),
    }
}

#[cfg(test)]
mod tests;
