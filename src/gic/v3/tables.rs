//! Which of its writes a guest may make to registers that lead the GIC to tables in memory
//! (Arm IHI 0069, 12.11 and 12.19).
//!
//! The GIC reads and writes its tables by itself, past stage 2. It begins to when LPIs or the ITS
//! are enabled, and from then on which tables they are can no longer be chosen. So a guest may write
//! what it likes to these registers while nothing is enabled, and what counts is what they say when
//! it is: then all of each table must be the guest's memory. Writes to them after that are
//! UNPREDICTABLE, and dropped.

use crate::linux::kimage::GuestMemory;
use core::ops::Range;
use thiserror::Error;

/// Bits 51 to 12 of the registers that name a table.
const ADDRESS: u64 = 0xf_ffff_ffff_f000;
/// `GICR_CTLR.EnableLPIs`, `GITS_CTLR.Enabled`.
const ENABLE: u64 = 1;
/// `GITS_CBASER.Valid`, `GITS_BASER<n>.Valid`, `GICR_VPROPBASER.Valid`, `GICR_VPENDBASER.Valid`.
const VALID: u64 = 1 << 63;
/// Numbers of interrupts below this are no LPIs; the property table begins with it.
const FIRST_LPI: u64 = 8192;
/// `GICR_PENDBASER` counts blocks of this size.
const PENDING_ALIGN: u64 = 64 << 10;

/// Offsets of `GICR_CTLR` and `GITS_CTLR`.
const CTLR: Range<u64> = 0..4;
/// Offsets of `GICR_PROPBASER`, and of `GICR_VPROPBASER` in its page.
const PROPBASER: Range<u64> = 0x70..0x78;
/// Offsets of `GICR_PENDBASER`, and of `GICR_VPENDBASER` in its page.
const PENDBASER: Range<u64> = 0x78..0x80;
const CBASER: Range<u64> = 0x80..0x88;
const BASERS: Range<u64> = 0x100..0x140;

/// A store of a guest, to a page of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// From the start of the page, in bytes.
    pub offset: u64,
    /// How many bytes: 1, 2, 4 or 8.
    pub size: u64,
    /// What is stored; the bytes above `size` are zero.
    pub value: u64,
}

/// Why a store is dropped.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Denied {
    /// A table that would be used from now on.
    #[error("the table of {size:#x} bytes at {start:#x} is not all the guest's memory")]
    Table {
        /// Physical address.
        start: u64,
        /// Bytes.
        size: u64,
    },
    /// The tables are in use.
    #[error("the tables are in use")]
    InUse,
    /// The registers have 32 or 64 bits, at multiples of that.
    #[error("no register is written so")]
    Shape,
    /// A table of virtual LPIs, for which a guest at EL1 has no use.
    #[error("virtual LPIs are not offered")]
    Virtual,
}

/// A store that is dropped.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{register}: {why}")]
pub struct Refused {
    /// The register, as the architecture names it.
    pub register: &'static str,
    /// Why.
    pub why: Denied,
}

/// What a redistributor's registers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lpis {
    /// `GICR_CTLR`.
    pub ctlr: u64,
    /// `GICR_PROPBASER`.
    pub propbaser: u64,
    /// `GICR_PENDBASER`.
    pub pendbaser: u64,
    /// Bits of an interrupt's number that the GIC has (`GICD_TYPER.IDbits`, plus one).
    pub id_bits: u32,
}

/// What an ITS's registers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translations {
    /// `GITS_CTLR.Enabled`.
    pub enabled: bool,
    /// `GITS_CTLR.Quiescent`: nothing is under way.
    pub quiescent: bool,
    /// `GITS_CBASER`.
    pub cbaser: u64,
    /// `GITS_BASER<n>`.
    pub basers: [u64; 8],
}

impl Store {
    fn check_shape(&self) -> Result<(), Denied> {
        let whole = matches!(self.size, 4 | 8) && self.offset.is_multiple_of(self.size);
        whole.then_some(()).ok_or(Denied::Shape)
    }

    fn enables(&self) -> bool {
        self.offset == 0 && self.value & ENABLE != 0
    }

    /// Names the register among those of its page.
    fn refuse(&self, registers: &[(Range<u64>, &'static str)], why: Denied) -> Refused {
        let mut registers = registers.iter();
        let register = registers.find(|(range, _)| range.contains(&self.offset));
        Refused {
            register: register.map_or("a register of the GIC", |(_, name)| name),
            why,
        }
    }

    /// Says whether the guest may make this store to RD_base.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why not.
    pub fn to_redistributor(&self, now: &Lpis, memory: &impl GuestMemory) -> Result<(), Refused> {
        let registers = [
            (CTLR, "GICR_CTLR"),
            (PROPBASER, "GICR_PROPBASER"),
            (PENDBASER, "GICR_PENDBASER"),
        ];
        let verdict = || {
            self.check_shape()?;
            let enabled = now.ctlr & ENABLE != 0;
            if enabled && (PROPBASER.contains(&self.offset) || PENDBASER.contains(&self.offset)) {
                return Err(Denied::InUse);
            }
            let ids = 1 << ((now.propbaser & 0x1f) as u32 + 1).min(now.id_bits);
            // With fewer bits there are no LPIs, and no table.
            if enabled || !self.enables() || ids <= FIRST_LPI {
                return Ok(());
            }
            let properties = (now.propbaser & ADDRESS, ids - FIRST_LPI);
            let pending = (now.pendbaser & ADDRESS & !(PENDING_ALIGN - 1), ids / 8);
            check(memory, [properties, pending].into_iter())
        };
        verdict().map_err(|why| self.refuse(&registers, why))
    }

    /// Says whether the guest may make this store to VLPI_base. The tables of virtual LPIs are for a
    /// hypervisor, which it is not.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why not.
    pub fn to_virtual_lpis(&self) -> Result<(), Refused> {
        let registers = [
            (PROPBASER, "GICR_VPROPBASER"),
            (PENDBASER, "GICR_VPENDBASER"),
        ];
        let verdict = || {
            self.check_shape()?;
            let named = PROPBASER.contains(&self.offset) || PENDBASER.contains(&self.offset);
            // The highest bit of the register, or of the upper half of it.
            let valid = (self.offset + self.size).is_multiple_of(8)
                && self.value >> (8 * self.size - 1) != 0;
            if named && valid {
                return Err(Denied::Virtual);
            }
            Ok(())
        };
        verdict().map_err(|why| self.refuse(&registers, why))
    }

    /// Says whether the guest may make this store to GITS_base.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why not.
    pub fn to_its(&self, now: &Translations, memory: &impl GuestMemory) -> Result<(), Refused> {
        let registers = [
            (CTLR, "GITS_CTLR"),
            (CBASER, "GITS_CBASER"),
            (BASERS, "GITS_BASER<n>"),
        ];
        let verdict = || {
            self.check_shape()?;
            let named = CBASER.contains(&self.offset) || BASERS.contains(&self.offset);
            if named && (now.enabled || !now.quiescent) {
                return Err(Denied::InUse);
            }
            if now.enabled || !self.enables() {
                return Ok(());
            }
            let queue = [(now.cbaser, (now.cbaser & ADDRESS, pages(now.cbaser) << 12))];
            let tables = now.basers.iter().map(|&baser| (baser, its_table(baser)));
            let all = queue.into_iter().chain(tables);
            let valid = |(register, table)| (register & VALID != 0).then_some(table);
            check(memory, all.filter_map(valid))
        };
        verdict().map_err(|why| self.refuse(&registers, why))
    }
}

/// `GITS_CBASER.Size`, `GITS_BASER<n>.Size`.
const fn pages(register: u64) -> u64 {
    (register & 0xff) + 1
}

/// Where the table of a `GITS_BASER<n>` is, and its bytes; of two levels, the first.
const fn its_table(register: u64) -> (u64, u64) {
    let low = register & 0xffff_ffff_f000;
    match register >> 8 & 3 {
        0 => (low, pages(register) << 12),
        1 => (low & !0x3fff, pages(register) << 14),
        // Bits 15 to 12 are bits 51 to 48 of the address.
        _ => (
            low & !0xffff | (register & 0xf000) << 36,
            pages(register) << 16,
        ),
    }
}

fn check(
    memory: &impl GuestMemory,
    mut tables: impl Iterator<Item = (u64, u64)>,
) -> Result<(), Denied> {
    match tables.find(|&(start, size)| !memory.contains(start, size)) {
        Some((start, size)) => Err(Denied::Table { start, size }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
