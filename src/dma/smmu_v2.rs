// SPDX-License-Identifier: Apache-2.0
//! An SMMUv1 or v2 (Arm IHI 0062), by its non-secure registers.
//!
//! Each stream that it knows is mapped to a fault, and so is each that it does not know: no context translates for
//! anybody. Linux's driver writes all of these registers anew when it is probed.

use crate::arch::probe;
use crate::arch::verify::{expect, wait};
use baton_core::hw_error::HwError;
use baton_core::memory::region::Region;
use baton_core::sync::Lock;
use core::num::NonZero;
use core::ptr::NonNull;
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;

/// How long invalidations may take, in microseconds.
const SYNCHRONIZED_US: u64 = 10_000;

/// Registers of global register space 0 (chapter 9), by their offset.
const CR0: u64 = 0x00;
const IDR0: u64 = 0x20;
const IDR1: u64 = 0x24;
const GFSR: u64 = 0x48;
const TLBIALLNSNH: u64 = 0x68;
const TLBIALLH: u64 = 0x6c;
const TLBGSYNC: u64 = 0x70;
const TLBGSTATUS: u64 = 0x74;
const SMR: u64 = 0x800;
const S2CR: u64 = 0xc00;
/// Registers of a context bank (chapter 16).
const SCTLR: u64 = 0x00;
const RESUME: u64 = 0x08;
const FSR: u64 = 0x58;

/// `SMMU_sCR0`: all pass untranslated; a fault is answered by an abort, one of the configuration too; what matches no
/// group is a fault.
const CLIENTPD: u32 = 1 << 0;
const GFRE: u32 = 1 << 1;
const GCFGFRE: u32 = 1 << 4;
const USFCFG: u32 = 1 << 10;
/// `SMMU_S2CR.TYPE`: a fault.
const TYPE: u32 = 3 << 16;
const FAULT: u32 = 2 << 16;
/// `SMMU_IDR0.SMS`, `NUMSIDB`, `NUMSMRG`: groups match streams, else there is one for each stream.
const SMS: u32 = 1 << 27;
const NUMSIDB: u32 = 9;
/// There is no room for more.
const MOST_GROUPS: u32 = 128;
/// `SMMU_IDR1.PAGESIZE`, `NUMPAGENDXB`, `NUMCB`.
const LARGE_PAGES: u32 = 1 << 31;
const NUMPAGENDXB: u32 = 28;
/// `SMMU_CBn_SCTLR`: faults stall, are interrupts, stall others.
const STALL: u32 = 1 << 8 | 1 << 7 | 1 << 6;
/// `SMMU_CBn_FSR.SS`: a transaction is stalled.
const STALLED: u32 = 1 << 30;
/// `SMMU_CBn_RESUME`: it is terminated.
const TERMINATE: u32 = 1;

/// One SMMU.
pub struct SmmuV2(Lock<Registers>);

/// Its registers.
struct Registers {
    base: NonZero<usize>,
    /// How many stream mapping groups there are.
    groups: u32,
    /// How many context banks there are, where the first is from `base` on, and how many bytes each has.
    banks: u32,
    first_bank: u64,
    bank_size: u64,
}

impl SmmuV2 {
    /// Takes the SMMU with these registers; `None` if none answers there, or it has more than these.
    ///
    /// # Safety
    ///
    /// They are there, and mapped as device memory as long as the monitor lives. There is no other pointer to them.
    pub unsafe fn new(registers: &Region) -> Option<Self> {
        let base = NonZero::new(registers.start() as usize)?;
        // SAFETY: The caller's promise, and a load of an ID register changes nothing.
        let [idr0, idr1] = [IDR0, IDR1].map(|idr| unsafe { probe::word(registers.start() + idr) });
        if matches!(idr0, 0 | u32::MAX) {
            return None;
        }
        let groups = match idr0 & SMS {
            0 => 1 << (idr0 >> NUMSIDB & 0xf),
            _ => idr0 & 0xff,
        };
        let bank_size = if idr1 & LARGE_PAGES == 0 { 4 } else { 64 } << 10;
        let pages = 2 << (idr1 >> NUMPAGENDXB & 7);
        let found = Registers {
            base,
            groups: groups.min(MOST_GROUPS),
            banks: idr1 & 0xff,
            // As many pages as are before them are theirs.
            first_bank: pages * bank_size,
            bank_size,
        };
        let fits = u64::from(found.banks) <= pages && 2 * found.first_bank <= registers.size();
        fits.then_some(Self(Lock::new(found)))
    }

    /// Returns the physical address of its registers.
    pub fn base(&self) -> u64 {
        self.0.lock().base.get() as u64
    }

    /// Has all streams end in a fault: what arrives from now on is aborted, and what was translated is complete when
    /// this returns. Then, if `open` is set, lets everything through untranslated. It makes no interrupts.
    ///
    /// To be called when no other CPU uses it.
    ///
    /// # Errors
    ///
    /// [`HwError`] with the first register that did not take its value, or not in time. All that can be done was done.
    pub fn shut(&self, open: bool) -> Result<(), HwError> {
        let mut registers = self.0.lock();
        let mapped = registers.map_to_fault();
        registers.end_stalls();
        let synchronized = registers.invalidate();
        registers.disable_contexts();
        let shut = mapped.and(synchronized);
        if open && shut.is_ok() {
            registers.write(CR0, CLIENTPD);
        }
        shut
    }
}

impl Registers {
    fn map_to_fault(&mut self) -> Result<(), HwError> {
        let mut result = Ok(());
        for group in (0..self.groups).map(|group| 4 * u64::from(group)) {
            self.write(S2CR + group, FAULT);
            self.write(SMR + group, 0);
            let found = self.read(S2CR + group);
            result = result.and(expect("SMMU_S2CR", FAULT.into(), TYPE.into(), found.into()));
        }
        // Groups are as they should be: now it may look at them, if it did not.
        let wanted = USFCFG | GCFGFRE | GFRE;
        self.write(CR0, wanted);
        let found = self.read(CR0);
        let mask = USFCFG | CLIENTPD;
        result.and(expect(
            "SMMU_sCR0",
            wanted.into(),
            mask.into(),
            found.into(),
        ))
    }

    /// What is stalled would hold up the synchronization. A context goes on translating until that: without, what it
    /// has begun would pass untranslated.
    fn end_stalls(&mut self) {
        for bank in self.banks() {
            let sctlr = self.read(bank + SCTLR);
            self.write(bank + SCTLR, sctlr & !STALL);
            let fsr = self.read(bank + FSR);
            // A one clears.
            self.write(bank + FSR, fsr);
            if fsr & STALLED != 0 {
                self.write(bank + RESUME, TERMINATE);
            }
        }
    }

    fn invalidate(&mut self) -> Result<(), HwError> {
        self.write(TLBIALLH, 0);
        self.write(TLBIALLNSNH, 0);
        self.write(TLBGSYNC, 0);
        let read = || self.read(TLBGSTATUS).into();
        wait("SMMU_sTLBGSTATUS", SYNCHRONIZED_US, read, |found| {
            found & 1 == 0
        })
        .map(|_| ())
    }

    fn disable_contexts(&mut self) {
        for bank in self.banks() {
            self.write(bank + SCTLR, 0);
            let fsr = self.read(bank + FSR);
            self.write(bank + FSR, fsr);
        }
        let gfsr = self.read(GFSR);
        self.write(GFSR, gfsr);
    }

    fn banks(&self) -> impl Iterator<Item = u64> + use<> {
        let (first, size) = (self.first_bank, self.bank_size);
        (0..u64::from(self.banks)).map(move |bank| first + bank * size)
    }

    fn read(&self, offset: u64) -> u32 {
        self.register(offset).read()
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.register(offset).write(value);
    }

    /// Returns a register of those above, or of a context bank.
    fn register(&self, offset: u64) -> UniqueMmioPointer<'_, ReadPureWrite<u32>> {
        let address = self.base.saturating_add(offset as usize);
        // SAFETY: It is in the region that `new` was promised to be there, as `new` has checked, and there is no other
        // pointer while this one lives: it is used at once, below the lock.
        unsafe { UniqueMmioPointer::new(NonNull::with_exposed_provenance(address)) }
    }
}

#[cfg(test)]
mod tests;
