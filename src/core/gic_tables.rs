// SPDX-License-Identifier: Apache-2.0
//! Which writes a guest may make to the registers that tell the GIC where its tables in memory are
//! (Arm IHI 0069, 12.11 and 12.19).
//!
//! The GIC reads and writes its tables itself, and stage 2 does not restrain it. It does so once
//! LPIs or the ITS are enabled, and from then on the tables cannot be changed. So a guest may write
//! what it likes to these registers while nothing is enabled. The write that enables LPIs or an ITS
//! is allowed only if all of each table is the guest's memory then. Later writes to the registers,
//! which the architecture calls UNPREDICTABLE, are dropped.
//!
//! No table of an ITS has two levels: the first would name, in the guest's own memory, the pages of
//! the second, which the ITS writes. `GITS_BASER<n>.Indirect` is stored as zero, as in an ITS that
//! has flat tables alone; a driver reads it back.

use crate::memory::guest_memory::GuestMemory;
use thiserror::Error;

/// Bits 51:12, the address in the registers that name a table.
const ADDRESS: u64 = 0xf_ffff_ffff_f000;
/// `GICR_CTLR.EnableLPIs`, `GITS_CTLR.Enabled`.
const ENABLE: u64 = 1;
/// `GITS_CBASER.Valid`, `GITS_BASER<n>.Valid`, `GICR_VPROPBASER.Valid`, `GICR_VPENDBASER.Valid`.
const VALID: u64 = 1 << 63;
/// `GITS_BASER<n>.Indirect`: the table is one of addresses, of the pages of a second level.
const INDIRECT: u64 = 1 << 62;
/// The first interrupt id that is an LPI; the property table begins with it.
const FIRST_LPI: u64 = 8192;
/// The alignment of the pending table, whose address is in bits 51:16 of `GICR_PENDBASER`.
const PENDING_ALIGN: u64 = 64 << 10;

/// Where `GICR_CTLR` and `GITS_CTLR`, which are at 0, end.
const CTLR_END: u64 = 4;
/// `GICR_PROPBASER`; in VLPI_base, `GICR_VPROPBASER`.
const PROPBASER: u64 = 0x70;
/// `GICR_PENDBASER`; in VLPI_base, `GICR_VPENDBASER`.
const PENDBASER: u64 = 0x78;
const LPIS_END: u64 = 0x80;
/// `GITS_CBASER`.
const CBASER: u64 = 0x80;
const CBASER_END: u64 = 0x88;
/// `GITS_BASER0` to `GITS_BASER7`.
const BASERS: u64 = 0x100;
const BASERS_END: u64 = 0x140;

/// A guest's store to a page of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// Offset in the page, in bytes.
    pub offset: u64,
    /// Size in bytes: 1, 2, 4 or 8.
    pub size: u64,
    /// The value; the bytes above `size` are zero.
    pub value: u64,
}

/// Why a store is dropped.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Denied {
    /// The store would make the GIC use a table that is not all the guest's memory.
    #[error("the table of {size:#x} bytes at {start:#x} is not wholly in guest memory")]
    Table {
        /// Physical address of the table.
        start: u64,
        /// Size of the table in bytes.
        size: u64,
    },
    /// The store would make the ITS follow the addresses that a table of the guest's has.
    #[error("the table at {0:#x} has two levels")]
    Indirect(
        /// Physical address of the table.
        u64,
    ),
    /// The register names a table that is in use.
    #[error("the tables are in use")]
    InUse,
    /// The store is not of 32 or 64 bits, or not aligned to its size, as all stores to these pages
    /// must be.
    #[error("not an aligned store of 32 or 64 bits")]
    Shape,
    /// The store names a table of virtual LPIs, which are for hypervisors.
    #[error("virtual LPIs are not offered")]
    Virtual,
}

/// A store that is dropped, and why.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{register}: {why}")]
pub struct Refused {
    /// The register, as the architecture names it.
    pub register: &'static str,
    /// Why it is dropped.
    pub why: Denied,
}

/// The registers of a redistributor before the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lpis {
    /// `GICR_CTLR`.
    pub ctlr: u64,
    /// `GICR_PROPBASER`.
    pub propbaser: u64,
    /// `GICR_PENDBASER`.
    pub pendbaser: u64,
    /// Bits of an interrupt id that the GIC has (`GICD_TYPER.IDbits`, plus one).
    pub id_bits: u32,
}

/// The registers of an ITS before the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translations {
    /// `GITS_CTLR.Enabled`.
    pub enabled: bool,
    /// `GITS_CTLR.Quiescent`: the ITS has come to rest.
    pub quiescent: bool,
    /// `GITS_CBASER`.
    pub cbaser: u64,
    /// `GITS_BASER<n>`.
    pub basers: [u64; 8],
}

/// What a page of registers is of which some lead the GIC to tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RD_base of a redistributor.
    Redistributor,
    /// VLPI_base of a redistributor.
    VirtualLpis,
    /// GITS_base of an ITS.
    Its,
}

impl Kind {
    /// Returns whether a store to `offset` has to be looked at: whether the register there names a
    /// table, or enables what uses tables.
    pub const fn leads_to_tables(self, offset: u64) -> bool {
        match self {
            Self::Redistributor => matches!(offset, 0..CTLR_END | PROPBASER..LPIS_END),
            Self::VirtualLpis => matches!(offset, PROPBASER..LPIS_END),
            Self::Its => matches!(offset, 0..CTLR_END | CBASER..CBASER_END | BASERS..BASERS_END),
        }
    }
}

/// The page of registers that a store goes to, and what they are before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// RD_base of a redistributor.
    Redistributor(Lpis),
    /// VLPI_base of a redistributor.
    VirtualLpis,
    /// GITS_base of an ITS.
    Its(Translations),
    /// Any of these, where no register leads to a table ([`Kind::leads_to_tables`]).
    Elsewhere,
}

impl Store {
    /// Checks whether the guest, whose memory is `memory`, may make this store to `page`, and
    /// returns the value that is to be stored.
    ///
    /// # Errors
    ///
    /// Returns [`Refused`] if it may not: the store has to be dropped.
    pub fn check(&self, page: &Page, memory: &impl GuestMemory) -> Result<u64, Refused> {
        let verdict = if !matches!(self.size, 4 | 8) || !self.offset.is_multiple_of(self.size) {
            Err(Denied::Shape)
        } else {
            match page {
                Page::Redistributor(now) => self.check_redistributor(now, memory),
                Page::VirtualLpis => self.check_virtual_lpis(),
                Page::Its(now) => self.check_its(now, memory),
                Page::Elsewhere => Ok(()),
            }
        };
        match verdict {
            Ok(()) => Ok(self.allowed(page)),
            Err(why) => Err(Refused {
                register: self.register(page),
                why,
            }),
        }
    }

    /// Returns the value without the bit that a guest may not set.
    fn allowed(&self, page: &Page) -> u64 {
        match (page, self.offset) {
            // The bit is in the upper half, which may be stored by itself.
            (Page::Its(_), BASERS..BASERS_END) => {
                self.value & !(INDIRECT >> (8 * (self.offset % 8)))
            }
            _ => self.value,
        }
    }

    /// Returns the name of the register that the store goes to.
    fn register(&self, page: &Page) -> &'static str {
        match (page, self.offset) {
            (Page::Redistributor(_), 0..CTLR_END) => "GICR_CTLR",
            (Page::Redistributor(_), PROPBASER..PENDBASER) => "GICR_PROPBASER",
            (Page::Redistributor(_), PENDBASER..LPIS_END) => "GICR_PENDBASER",
            (Page::VirtualLpis, PROPBASER..PENDBASER) => "GICR_VPROPBASER",
            (Page::VirtualLpis, PENDBASER..LPIS_END) => "GICR_VPENDBASER",
            (Page::Its(_), 0..CTLR_END) => "GITS_CTLR",
            (Page::Its(_), CBASER..CBASER_END) => "GITS_CBASER",
            (Page::Its(_), BASERS..BASERS_END) => "GITS_BASER<n>",
            _ => "a register of the GIC",
        }
    }

    /// Returns whether the store enables LPIs or an ITS.
    fn enables(&self) -> bool {
        self.offset == 0 && self.value & ENABLE != 0
    }

    fn check_redistributor(&self, now: &Lpis, memory: &impl GuestMemory) -> Result<(), Denied> {
        if now.ctlr & ENABLE != 0 {
            return match self.offset {
                PROPBASER..LPIS_END => Err(Denied::InUse),
                _ => Ok(()),
            };
        }
        let ids = 1 << ((now.propbaser & 0x1f) as u32 + 1).min(now.id_bits);
        // With so few bits of an id there are no LPIs, and no table.
        if !self.enables() || ids <= FIRST_LPI {
            return Ok(());
        }
        check(memory, now.propbaser & ADDRESS, ids - FIRST_LPI)?;
        check(
            memory,
            now.pendbaser & ADDRESS & !(PENDING_ALIGN - 1),
            ids / 8,
        )
    }

    /// Refuses stores that make a table of virtual LPIs valid: those are for a hypervisor, which
    /// the guest at EL1 is not.
    fn check_virtual_lpis(&self) -> Result<(), Denied> {
        // Valid is bit 63 of the register: the highest bit of all of it, or of its upper half.
        let valid =
            (self.offset + self.size).is_multiple_of(8) && self.value >> (8 * self.size - 1) != 0;
        match self.offset {
            PROPBASER..LPIS_END if valid => Err(Denied::Virtual),
            _ => Ok(()),
        }
    }

    fn check_its(&self, now: &Translations, memory: &impl GuestMemory) -> Result<(), Denied> {
        if let CBASER..CBASER_END | BASERS..BASERS_END = self.offset
            && (now.enabled || !now.quiescent)
        {
            return Err(Denied::InUse);
        }
        if now.enabled || !self.enables() {
            return Ok(());
        }
        if now.cbaser & VALID != 0 {
            check(memory, now.cbaser & ADDRESS, pages(now.cbaser) << 12)?;
        }
        let mut tables = now.basers.iter().filter(|&baser| baser & VALID != 0);
        tables.try_for_each(|&baser| {
            let (start, size) = its_table(baser);
            // As it was before the monitor came.
            if baser & INDIRECT != 0 {
                return Err(Denied::Indirect(start));
            }
            check(memory, start, size)
        })
    }
}

/// Returns the number of pages that `GITS_CBASER.Size` or `GITS_BASER<n>.Size` says.
const fn pages(register: u64) -> u64 {
    (register & 0xff) + 1
}

/// Returns where the table of a `GITS_BASER<n>` is, and its size in bytes.
const fn its_table(register: u64) -> (u64, u64) {
    let low = register & 0xffff_ffff_f000;
    match register >> 8 & 3 {
        0 => (low, pages(register) << 12),
        1 => (low & !0x3fff, pages(register) << 14),
        // Bits 15:12 are bits 51:48 of the address.
        _ => (
            low & !0xffff | (register & 0xf000) << 36,
            pages(register) << 16,
        ),
    }
}

/// Checks that all of a table is the guest's memory.
fn check(memory: &impl GuestMemory, start: u64, size: u64) -> Result<(), Denied> {
    match memory.contains(start, size) {
        true => Ok(()),
        false => Err(Denied::Table { start, size }),
    }
}

#[cfg(test)]
mod tests;
