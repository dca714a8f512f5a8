// SPDX-License-Identifier: Apache-2.0
//! An interrupt translation service (Arm IHI 0069, 5.3 and 12.19).

use super::frames::{FrameError, check_revision, page};
use super::wait_clear;
use crate::arch::verify::expect;
use baton_core::gic_tables::Translations;
use baton_core::hw_error::HwError;
use baton_core::sync::Lock;
use core::ops::DerefMut;
use safe_mmio::fields::{ReadPure, ReadPureWrite};
use safe_mmio::{UniqueMmioPointer, field, field_shared};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `GITS_CTLR.Enabled`.
const ENABLED: u32 = 1 << 0;

/// `GITS_CTLR.Quiescent`: no command and no translation is under way, all tables are written back.
const QUIESCENT: u32 = 1 << 31;

/// `GITS_CBASER.Valid`, `GITS_BASER<n>.Valid`.
const VALID: u64 = 1 << 63;

/// How long an ITS may take to finish what it began, in microseconds.
const QUIESCENT_US: u64 = 100_000;

/// The registers of GITS_base.
#[derive(Clone, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C, align(8))]
struct Gits {
    /// `GITS_CTLR`, at 0.
    ctlr: ReadPureWrite<u32>,
    _iidr: u32,
    _typer: u64,
    _reserved0: [u32; 28],
    /// `GITS_CBASER`, at 0x80.
    cbaser: ReadPureWrite<u64>,
    /// `GITS_CWRITER`, at 0x88.
    cwriter: ReadPureWrite<u64>,
    /// `GITS_CREADR`, at 0x90.
    creadr: ReadPure<u64>,
    _reserved1: [u32; 26],
    /// `GITS_BASER<n>`, at 0x100.
    baser: [ReadPureWrite<u64>; 8],
    _reserved2: [u32; 0x3faa],
    /// `GITS_PIDR2`, at 0xffe8.
    pidr2: ReadPure<u32>,
    _reserved3: [u32; 5],
}

/// One ITS.
pub struct Frame {
    base: u64,
    registers: Lock<Its>,
}

impl Frame {
    /// Takes the ITS at `base`.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if nothing can be there, or it is not of a GICv3 or GICv4.
    ///
    /// # Safety
    ///
    /// As [`GicV3::new`](super::GicV3::new).
    pub(super) unsafe fn new(base: usize) -> Result<Self, FrameError> {
        let pointer = page::<Gits>(base)?;
        // SAFETY: The caller vouches for the registers, and that there is no other pointer.
        let registers = unsafe { UniqueMmioPointer::new(pointer) };
        let revision = field_shared!(registers, pidr2).read() >> 4 & 0xf;
        check_revision(base, revision as u8)?;
        Ok(Self {
            base: base as u64,
            registers: Lock::new(Its { registers }),
        })
    }

    /// Returns the physical address of GITS_base.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Returns the registers, for as long as the guard lives.
    pub fn lock(&self) -> impl DerefMut<Target = Its> {
        self.registers.lock()
    }
}

/// The registers of one ITS.
pub struct Its {
    registers: UniqueMmioPointer<'static, Gits>,
}

impl Its {
    /// Returns the registers of its tables.
    pub fn translations(&self) -> Translations {
        let ctlr = field_shared!(self.registers, ctlr).read();
        let mut now = Translations {
            enabled: ctlr & ENABLED != 0,
            quiescent: ctlr & QUIESCENT != 0,
            cbaser: field_shared!(self.registers, cbaser).read(),
            basers: [0; 8],
        };
        let registers = field_shared!(self.registers, baser);
        for (value, register) in now.basers.iter_mut().zip(registers.iter()) {
            *value = register.read();
        }
        now
    }

    /// Disables the ITS, waits until it is quiescent, and takes its command queue and tables away.
    ///
    /// To be called when no other CPU uses the GIC.
    ///
    /// # Errors
    ///
    /// [`HwError::Timeout`] if it is not quiescent in time: its tables stay, as it may still use
    /// them. [`HwError::Sticky`] with the first register that did not take its value.
    pub fn reset(&mut self) -> Result<(), HwError> {
        field!(self.registers, ctlr).modify(|ctlr| ctlr & !ENABLED);
        wait_clear(
            "GITS_CTLR",
            QUIESCENT_US,
            || field_shared!(self.registers, ctlr).read().into(),
            |ctlr| ctlr as u32 & (QUIESCENT | ENABLED) != QUIESCENT,
        )?;
        // Also sets CREADR to zero.
        field!(self.registers, cbaser).write(0);
        field!(self.registers, cwriter).write(0);
        // The type and the size of entries are read-only.
        for mut register in field!(self.registers, baser).iter() {
            register.write(0);
        }
        let cbaser = field_shared!(self.registers, cbaser).read();
        let creadr = field_shared!(self.registers, creadr).read();
        let tables = field_shared!(self.registers, baser)
            .iter()
            .fold(0, |all, register| all | register.read());
        expect("GITS_CBASER", 0, VALID, cbaser)
            .and(expect("GITS_CREADR", 0, !0, creadr))
            .and(expect("GITS_BASER<n>", 0, VALID, tables))
    }
}

const _: () = {
    assert!(core::mem::offset_of!(Gits, cbaser) == 0x80);
    assert!(core::mem::offset_of!(Gits, creadr) == 0x90);
    assert!(core::mem::offset_of!(Gits, baser) == 0x100);
    assert!(core::mem::offset_of!(Gits, pidr2) == 0xffe8);
};

#[cfg(test)]
mod tests;
