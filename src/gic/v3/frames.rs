// SPDX-License-Identifier: Apache-2.0
//! Which redistributor belongs to which CPU.

use super::redistributor::Redistributor;
use alloc::vec::Vec;
use arm_gic::gicv3::registers::GicrSgi;
use baton_core::mpidr::AFFINITY;
use baton_core::sync::Lock;
use core::num::NonZero;
use core::ptr::NonNull;
use safe_mmio::{UniqueMmioPointer, field_shared};
use thiserror::Error;

/// RD_base and SGI_base: a redistributor without virtual LPIs, in bytes.
const TWO_PAGES: usize = 0x2_0000;

/// The same, with VLPI_base and a reserved page (`GICR_TYPER.VLPIS`).
const FOUR_PAGES: usize = 0x4_0000;

/// Redistributors one after another in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Physical address of the first.
    pub base: usize,
    /// Bytes.
    pub size: usize,
}

/// The addresses in the device tree are not those of a GICv3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// An address is zero, not on a page of 64 KiB, or the end of memory.
    #[error("no GIC can be at {base:#x}")]
    BadAddress {
        /// The address.
        base: usize,
    },
    /// What is there does not identify itself as a GICv3 or GICv4.
    #[error("no GICv3 at {base:#x}: architecture revision {revision}")]
    NotV3 {
        /// The address.
        base: usize,
        /// `PIDR2.ArchRev`.
        revision: u8,
    },
    /// A redistributor with virtual LPIs is larger than what is left of its region.
    #[error("redistributor at {base:#x} has virtual LPIs, and its region ends before them")]
    Beyond {
        /// The address.
        base: usize,
    },
    /// Two redistributors say that they belong to the same CPU.
    #[error("two redistributors of CPU {affinity:#x}")]
    Twice {
        /// The affinity of the CPU, as in `MPIDR_EL1`.
        affinity: u64,
    },
}

/// Checks an address from the device tree.
pub(super) fn page<T>(base: usize) -> Result<NonNull<T>, FrameError> {
    let error = FrameError::BadAddress { base };
    let address = NonZero::new(base).ok_or(error)?;
    if base & 0xffff != 0 || base.checked_add(FOUR_PAGES).is_none() {
        return Err(error);
    }
    Ok(NonNull::with_exposed_provenance(address))
}

/// Checks that `revision`, from `PIDR2`, is one that this code knows.
pub(super) fn check_revision(base: usize, revision: u8) -> Result<(), FrameError> {
    match revision {
        3 | 4 => Ok(()),
        revision => Err(FrameError::NotV3 { base, revision }),
    }
}

/// The redistributor of one CPU.
pub struct Frame {
    base: u64,
    virtual_lpis: bool,
    affinity: u64,
    /// Its own CPU takes the lock, and one that kicks it from outside.
    registers: Lock<Redistributor>,
}

impl Frame {
    /// Returns the affinity of its CPU, as in `MPIDR_EL1`.
    pub fn affinity(&self) -> u64 {
        self.affinity
    }

    /// Returns the physical address of RD_base.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Returns the physical address of VLPI_base, if there is one.
    pub fn virtual_base(&self) -> Option<u64> {
        self.virtual_lpis.then_some(self.base + TWO_PAGES as u64)
    }

    /// Returns the registers, for as long as the guard lives.
    pub fn lock(&self) -> impl core::ops::DerefMut<Target = Redistributor> {
        self.registers.lock()
    }
}

/// All redistributors, in the order of their CPUs' affinities.
pub struct Frames(Vec<Frame>);

impl Frames {
    /// Walks the regions once, each up to the frame that says it is the last, to its end, or to
    /// where there are no more. `nmi`: the distributor knows non-maskable interrupts.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if an address cannot be, a region does not begin with a frame of a GICv3 or
    /// GICv4, or two frames are the same CPU's.
    ///
    /// # Safety
    ///
    /// As [`GicV3::new`](super::GicV3::new).
    pub unsafe fn discover(
        regions: &[Region],
        stride: Option<usize>,
        nmi: bool,
    ) -> Result<Self, FrameError> {
        let mut frames = Vec::new();
        for region in regions {
            let end = region
                .base
                .checked_add(region.size)
                .ok_or(FrameError::BadAddress { base: region.base })?;
            let mut base = region.base;
            while base.checked_add(TWO_PAGES).is_some_and(|next| next <= end) {
                // SAFETY: The caller vouches for the whole region, and each frame is passed once.
                let (frame, size, last) = match unsafe { Self::at(base, end, nmi) } {
                    Err(FrameError::NotV3 { .. }) if base != region.base => break,
                    found => found?,
                };
                frames.push(frame);
                match base.checked_add(stride.unwrap_or(size).max(size)) {
                    Some(next) if !last => base = next,
                    _ => break,
                }
            }
        }
        frames.sort_unstable_by_key(Frame::affinity);
        let next = frames.iter().skip(1).map(Frame::affinity);
        let twice = frames
            .iter()
            .map(Frame::affinity)
            .zip(next)
            .find(|(a, b)| a == b);
        match twice {
            Some((affinity, _)) => Err(FrameError::Twice { affinity }),
            None => Ok(Self(frames)),
        }
    }

    /// Returns the frame at `base`, in a region that ends at `end`, its size in bytes, and whether it is
    /// the last of its region.
    ///
    /// # Safety
    ///
    /// As [`GicV3::new`](super::GicV3::new), of the frame at `base`; and it may be passed only
    /// once.
    unsafe fn at(base: usize, end: usize, nmi: bool) -> Result<(Frame, usize, bool), FrameError> {
        let pointer = page::<GicrSgi>(base)?;
        // SAFETY: The caller vouches for the registers, and that there is no other pointer.
        let registers = unsafe { UniqueMmioPointer::new(pointer) };
        let gicr = field_shared!(registers, gicr);
        check_revision(base, field_shared!(gicr, pidr2).read().arch_rev())?;
        let typer = field_shared!(gicr, typer).read();
        let virtual_lpis = if typer.virtual_lpis_supported() {
            if end - base < FOUR_PAGES {
                return Err(FrameError::Beyond { base });
            }
            let pointer = page(base + TWO_PAGES)?;
            // SAFETY: VLPIS says that VLPI_base follows; its registers are in no other pointer.
            Some(unsafe { UniqueMmioPointer::new(pointer) })
        } else {
            None
        };
        let size = if virtual_lpis.is_some() {
            FOUR_PAGES
        } else {
            TWO_PAGES
        };
        let frame = Frame {
            base: base as u64,
            virtual_lpis: virtual_lpis.is_some(),
            affinity: typer.core_mpidr() & AFFINITY,
            registers: Lock::new(Redistributor::new(registers, virtual_lpis, nmi)),
        };
        Ok((frame, size, typer.last_redistributor()))
    }

    /// Returns the redistributor of the CPU whose `MPIDR_EL1` is `mpidr`; other bits than the
    /// affinity's do not matter.
    pub fn of(&self, mpidr: u64) -> Option<&Frame> {
        self.place(mpidr).map(|(_, frame)| frame)
    }

    /// As [`Frames::of`], with its place in the order of [`Frames::iter`].
    pub fn place(&self, mpidr: u64) -> Option<(usize, &Frame)> {
        let affinity = mpidr & AFFINITY;
        let place = self
            .0
            .binary_search_by_key(&affinity, Frame::affinity)
            .ok()?;
        self.0.get(place).map(|frame| (place, frame))
    }

    /// Returns all, in the order of their affinities.
    pub fn iter(&self) -> impl Iterator<Item = &Frame> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests;
