// SPDX-License-Identifier: Apache-2.0
//! GICv3 and GICv4 (Arm IHI 0069), by what a guest at Non-secure EL1 can have left in it.
//!
//! Where a GIC has two security states (`GICD_CTLR.DS` = 0), groups, Secure priorities and
//! `GICR_WAKER` are firmware's and RAZ/WI here: a value of zero can be both written and expected.

pub mod cpu_interface;
pub mod distributor;
pub mod frames;
pub mod its;
mod kept_lpis;
pub mod lpi;
mod power;
pub mod redistributor;
pub mod sgi;
pub mod spis;

use crate::arch::verify;
use alloc::vec::Vec;
use baton_core::gic_tables::{Kind, Page, Refused, Store};
use baton_core::hw_error::HwError;
use baton_core::memory::guest_memory::GuestMemory;
use baton_core::memory::region::Region;
use baton_core::sync::{Lock, Relax};
use distributor::Distributor;
use frames::{FrameError, Frames};
use spin::once::Once;
use spis::Spis;

/// How long a register write may take to have its effect (`RWP`), in microseconds.
pub const RWP_US: u64 = 10_000;

/// Everything of a GICv3 that is reached by memory.
pub struct GicV3 {
    /// The distributor.
    pub distributor: Lock<Distributor>,
    /// The distributor's SPIs, which CPUs reset at once.
    pub spis: Spis,
    /// Whether it has two security states.
    pub two_states: bool,
    /// Whether it sees what is in the caches of CPUs. To be set before LPIs are; true at first.
    pub coherent: bool,
    /// Every CPU's redistributor.
    pub frames: Frames,
    /// Every interrupt translation service.
    pub its: Vec<its::Frame>,
    /// Held while a guest's store to a register that holds a table's address is checked and made.
    guest_stores: Lock<()>,
    /// Tables for LPIs that cannot be switched off.
    offered: Once<kept_lpis::Offer, Relax>,
    /// Those of them that are in use; the property table is first.
    kept_properties: Once<Region, Relax>,
}

/// A page of registers of which some lead the GIC to tables.
enum Guarded<'a> {
    Redistributor(&'a frames::Frame),
    VirtualLpis,
    Its(&'a its::Frame),
}

/// RD_base, VLPI_base, GITS_base: bytes of a page of registers.
const PAGE: u64 = 64 << 10;

impl GicV3 {
    /// Finds the parts of the GIC: the distributor at `gicd`, redistributors in `gicr`, each
    /// `stride` bytes from the one before it if the device tree says so (`redistributor-stride`),
    /// and the ITSs at `its`. Addresses are physical, mapped 1:1.
    ///
    /// Allocates; to be called once, at boot.
    ///
    /// # Errors
    ///
    /// [`FrameError`] as [`Frames::discover`], and if the distributor or an ITS has no address.
    ///
    /// # Safety
    ///
    /// The addresses must be those of the machine's GIC, mapped as device memory as long as the
    /// monitor lives (64 KiB for the distributor, 128 KiB for an ITS), and nothing else in the
    /// monitor may use them.
    pub unsafe fn new(
        gicd: usize,
        gicr: &[frames::Region],
        stride: Option<usize>,
        its: &[usize],
    ) -> Result<Self, FrameError> {
        // SAFETY: The caller promises the same of each address.
        unsafe {
            let distributor = Distributor::new(gicd)?;
            Ok(Self {
                two_states: distributor.two_states(),
                coherent: true,
                frames: Frames::discover(gicr, stride, distributor.nmi())?,
                distributor: Lock::new(distributor),
                spis: Spis::new(frames::page(gicd)?),
                guest_stores: Lock::new(()),
                offered: Once::new(),
                kept_properties: Once::new(),
                its: its
                    .iter()
                    .map(|&base| its::Frame::new(base))
                    .collect::<Result<_, _>>()?,
            })
        }
    }

    /// Brings the redistributor of the CPU `mpidr`, which runs this and comes from firmware, into
    /// power, and gives it the tables of LPIs that were offered.
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register.
    pub fn cpu_online(&self, mpidr: u64) -> Result<(), HwError> {
        if let Some(frame) = self.frames.of(mpidr) {
            frame.lock().power_up()?;
        }
        self.preset_lpis(mpidr).map(|_| ())
    }

    /// Returns the pages of registers that hold addresses of tables in memory. A guest may read
    /// them; its stores go to [`GicV3::store`].
    pub fn guarded(&self) -> impl Iterator<Item = Region> {
        let frames = self.frames.iter();
        let frames = frames.flat_map(|frame| [Some(frame.base()), frame.virtual_base()]);
        let its = self.its.iter().map(|its| Some(its.base()));
        frames
            .chain(its)
            .flatten()
            .filter_map(|base| Region::new(base, PAGE).ok())
    }

    /// Makes a guest's store of `size` bytes at physical `address`, if none of the GIC's tables
    /// then lies outside `memory`; `None` if no such registers are there.
    pub fn store(
        &self,
        address: u64,
        size: u64,
        value: u64,
        memory: &impl GuestMemory,
    ) -> Option<Result<(), Refused>> {
        let store = Store {
            offset: address % PAGE,
            size,
            value,
        };
        let make = |value| {
            let register = core::ptr::with_exposed_provenance_mut::<u8>(address as usize);
            // SAFETY: The register is mapped as a device, has the size of the store, and makes the
            // GIC use no memory but the guest's.
            unsafe {
                match size {
                    4 => register.cast::<u32>().write_volatile(value as u32),
                    _ => register.cast::<u64>().write_volatile(value),
                }
            }
        };
        let guarded = self.guarded_at(address - store.offset)?;
        // The one store that a kernel makes again and again, GITS_CWRITER, is such.
        if !guarded.kind().leads_to_tables(store.offset) {
            return Some(store.check(&Page::Elsewhere, memory).map(make));
        }
        // Under the lock, what is checked stays as it is until the store is made.
        let _turn = self.guest_stores.lock();
        Some(store.check(&self.read(&guarded), memory).map(make))
    }

    /// Returns which of the guarded pages is at `base`.
    fn guarded_at(&self, base: u64) -> Option<Guarded<'_>> {
        if let Some(its) = self.its.iter().find(|its| its.base() == base) {
            return Some(Guarded::Its(its));
        }
        self.frames.iter().find_map(|frame| {
            if frame.base() == base {
                return Some(Guarded::Redistributor(frame));
            }
            (frame.virtual_base() == Some(base)).then_some(Guarded::VirtualLpis)
        })
    }

    /// Returns what the registers of a guarded page hold.
    fn read(&self, guarded: &Guarded<'_>) -> Page {
        match guarded {
            Guarded::Redistributor(frame) => {
                let id_bits = self.distributor.lock().id_bits();
                Page::Redistributor(frame.lock().lpis(id_bits))
            }
            Guarded::VirtualLpis => Page::VirtualLpis,
            Guarded::Its(its) => Page::Its(its.lock().translations()),
        }
    }
}

impl Guarded<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Redistributor(_) => Kind::Redistributor,
            Self::VirtualLpis => Kind::VirtualLpis,
            Self::Its(_) => Kind::Its,
        }
    }
}

/// Waits until `pending(value)` of what `read` returns is false.
///
/// # Errors
///
/// [`HwError::Timeout`] naming `register` after `us` microseconds.
fn wait_clear(
    register: &'static str,
    us: u64,
    read: impl FnMut() -> u64,
    pending: impl Fn(u64) -> bool,
) -> Result<(), HwError> {
    verify::wait(register, us, read, |found| !pending(found)).map(|_| ())
}

#[cfg(test)]
mod tests;
