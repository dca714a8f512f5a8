// SPDX-License-Identifier: Apache-2.0
//! EL2's own translation (stage 1): identity, and nothing both writable and executable.

use aarch64_paging::descriptor::{El23Attributes, PhysicalAddress};
use aarch64_paging::paging::{Constraints, El2, MemoryRegion, Translation};
use aarch64_paging::{MapError, Mapping};
use baton_core::memory::region::Region;

/// The size of the address space that is mapped: a smaller one has a shorter walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaSize {
    /// 39 bits of address: the root is a table of level 1.
    Bits39,
    /// 48 bits of address: the root is a table of level 0.
    Bits48,
}

impl VaSize {
    /// Returns the smallest that holds all of `regions`.
    pub fn of<'a>(regions: impl Iterator<Item = &'a Region>) -> Self {
        match regions.map(Region::end).max() {
            Some(end) if end > 1 << 39 => Self::Bits48,
            _ => Self::Bits39,
        }
    }

    /// Returns the level of the root table.
    pub fn root_level(self) -> usize {
        match self {
            Self::Bits39 => 1,
            Self::Bits48 => 0,
        }
    }

    /// Returns TCR_EL2.T0SZ.
    fn t0sz(self) -> u64 {
        match self {
            Self::Bits39 => 64 - 39,
            Self::Bits48 => 64 - 48,
        }
    }
}

/// MAIR_EL2: attribute 0 is Device-nGnRE, attribute 1 Normal write-back.
const MAIR: u64 = 0xff04;
/// TCR_EL2.T0SZ.
const T0SZ: u64 = 0x3f;
/// TCR_EL2 but for PS and T0SZ: RES1 bits, table walks inner shareable and write-back.
const TCR: u64 = 1 << 31 | 1 << 23 | 3 << 12 | 1 << 10 | 1 << 8;
/// SCTLR_EL2: RES1 bits, I, SA, C, M.
const SCTLR: u64 = 0x30c5_0830 | 1 << 12 | 1 << 3 | 1 << 2 | 1;
/// SCTLR_EL2.WXN: what is writable is never executed.
const SCTLR_WXN: u64 = 1 << 19;

/// What a part of memory is to the monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// Instructions: read and execute.
    Text,
    /// Constants: read alone.
    Rodata,
    /// Everything else in memory: read and write.
    Data,
    /// Registers of a device.
    Device,
    /// The whole image, writable and executable. Only in the map that it starts with.
    Image,
}

impl MemoryKind {
    /// Returns the attributes of a block or, with [`El23Attributes::TABLE_OR_PAGE`], of a page.
    pub(super) fn attributes(self) -> El23Attributes {
        let common = El23Attributes::VALID | El23Attributes::ACCESSED | El23Attributes::USER_RES1;
        let normal = common | El23Attributes::ATTRIBUTE_INDEX_1 | El23Attributes::INNER_SHAREABLE;
        match self {
            Self::Text => normal | El23Attributes::READ_ONLY,
            Self::Rodata => normal | El23Attributes::READ_ONLY | El23Attributes::XN,
            Self::Data => normal | El23Attributes::XN,
            Self::Device => common | El23Attributes::ATTRIBUTE_INDEX_0 | El23Attributes::XN,
            Self::Image => normal,
        }
    }
}

/// The registers that turn the MMU on.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct MmuConfig {
    /// `MAIR_EL2`.
    pub mair: u64,
    /// `TCR_EL2`.
    pub tcr: u64,
    /// `TTBR0_EL2`.
    pub ttbr0: u64,
    /// `SCTLR_EL2`.
    pub sctlr: u64,
}

impl MmuConfig {
    /// Returns the level of the root table.
    pub fn root_level(&self) -> usize {
        let bits39 = self.tcr & T0SZ == VaSize::Bits39.t0sz();
        let va_size = if bits39 {
            VaSize::Bits39
        } else {
            VaSize::Bits48
        };
        va_size.root_level()
    }

    /// Returns the registers for the tables below `root`, with `pa_range` as `TCR_EL2.PS`: no more than
    /// any CPU has that uses them (`ID_AA64MMFR0_EL1.PARange`).
    pub fn new(
        root: PhysicalAddress,
        va_size: VaSize,
        pa_range: u64,
        write_xor_execute: bool,
    ) -> Self {
        Self {
            mair: MAIR,
            tcr: TCR | pa_range << 16 | va_size.t0sz(),
            ttbr0: root.0 as u64,
            sctlr: if write_xor_execute {
                SCTLR | SCTLR_WXN
            } else {
                SCTLR
            },
        }
    }
}

/// Maps `region`, widened to pages, at its own address.
///
/// # Errors
///
/// [`MapError`] if it lies outside the mapping's address space.
pub fn map<T: Translation<El23Attributes>>(
    mapping: &mut Mapping<T, El2>,
    region: &Region,
    what: MemoryKind,
) -> Result<(), MapError> {
    map_at(mapping, region, what, region.start())
}

/// Maps `region`, widened to pages, at the virtual address `at`, which is as far into a page as it is
/// itself.
///
/// # Errors
///
/// As [`map`].
pub fn map_at<T: Translation<El23Attributes>>(
    mapping: &mut Mapping<T, El2>,
    region: &Region,
    what: MemoryKind,
    at: u64,
) -> Result<(), MapError> {
    mapping.map_range(
        &MemoryRegion::new(at as usize, (at + region.size()) as usize),
        PhysicalAddress(region.start() as usize & !0xfff),
        what.attributes(),
        Constraints::NO_CONTIGUOUS_HINT,
    )
}
