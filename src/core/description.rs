// SPDX-License-Identifier: Apache-2.0
//! Who describes the machine to a kernel, and so to the monitor in its place: a device tree; or, on a
//! machine with UEFI, its memory map, and beside it the device tree or ACPI.
#![forbid(unsafe_code)]

use crate::acpi::{AcpiError, Physical, Tables};
use crate::devicetree::blob::{self, BlobError};
use crate::devicetree::board::{self, Board, MemoryMap as BoardMap};
use crate::devicetree::chosen;
use crate::devicetree::console::Console;
use crate::devicetree::error::BoardError;
use crate::devicetree::guest_console::MonitorUart;
use crate::devicetree::modules;
use crate::devicetree::uefi::{self, Uefi, UefiError};
use crate::efi::memory_map::{MapError, MemoryMap};
use crate::efi::system_table::{SystemTable, SystemTableError};
use crate::firmware_tables::FirmwareTables;
use crate::memory::region::{Region, RegionSet};
use dtoolkit::fdt::Fdt;
use thiserror::Error;

/// Why a machine is not known.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DescriptionError {
    /// The structure of the tree is broken.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The tree does not describe a machine that the monitor can run on.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// The tree does not say where UEFI's tables are.
    #[error(transparent)]
    Uefi(#[from] UefiError),
    /// UEFI's memory map cannot be used.
    #[error(transparent)]
    Map(#[from] MapError),
    /// UEFI's memory map is not in memory.
    #[error("UEFI's memory map, at {0}, is not in memory")]
    MapElsewhere(Region),
    /// UEFI's system table cannot be used.
    #[error(transparent)]
    SystemTable(#[from] SystemTableError),
    /// There is no description but the command line.
    #[error("the device tree has nothing but /chosen, and UEFI offers no ACPI 2.0 tables")]
    Nobody,
    /// ACPI does not describe a machine that the monitor can run on.
    #[error("ACPI: {0}")]
    Acpi(#[from] AcpiError),
}

/// Memory as UEFI tells of it.
#[derive(Clone, Debug)]
struct UefiMemory<'a> {
    at: Uefi,
    map: MemoryMap<'a>,
    /// What Linux has reserved for all kernels.
    reserved: RegionSet,
    /// Where the list of that begins.
    memory_reserve: Option<u64>,
}

/// Who describes the machine.
#[derive(Clone, Debug)]
pub struct Description<'a> {
    tree: &'a [u8],
    fdt: Fdt<'a>,
    uefi: Option<UefiMemory<'a>>,
    machine: FirmwareTables<'a>,
}

impl<'a> Description<'a> {
    /// Looks at a kernel's device tree, `tree`, and where it leads to in `memory`.
    ///
    /// # Errors
    ///
    /// [`DescriptionError`] for what cannot be read on the way.
    pub fn open(tree: &'a [u8], memory: &'a impl Physical) -> Result<Self, DescriptionError> {
        let fdt = blob::open(tree)?;
        let mut description = Self {
            tree,
            fdt,
            uefi: None,
            machine: FirmwareTables::Tree(fdt),
        };
        let Some(at) = Uefi::read(fdt)? else {
            return Ok(description);
        };
        let bytes = memory
            .bytes(at.map.start(), at.map.size() as usize)
            .ok_or(DescriptionError::MapElsewhere(at.map))?;
        let map = MemoryMap::new(bytes, at.descriptor as usize, at.version)?;
        let table = SystemTable::read(memory, at.system_table, &map)?;
        description.uefi = Some(UefiMemory {
            at,
            map,
            reserved: table.reserved(memory)?,
            memory_reserve: table.memory_reserve,
        });
        if uefi::is_stub(&fdt) {
            let rsdp = table.rsdp.ok_or(DescriptionError::Nobody)?;
            description.machine = FirmwareTables::Acpi(Tables::find(memory, rsdp)?);
        }
        Ok(description)
    }

    /// Returns the kernel's device tree.
    pub fn tree(&self) -> &'a [u8] {
        self.tree
    }

    /// Returns UEFI's memory map, if there is one.
    pub fn map(&self) -> Option<MemoryMap<'a>> {
        self.uefi.as_ref().map(|uefi| uefi.map)
    }

    /// Returns whether ACPI describes the machine.
    pub fn is_by_acpi(&self) -> bool {
        matches!(self.machine, FirmwareTables::Acpi(_))
    }

    /// Returns where the list begins of what Linux has reserved for all kernels, if there is one.
    pub fn memory_reserve(&self) -> Option<u64> {
        self.uefi.as_ref()?.memory_reserve
    }

    /// Returns what is memory, whatever it is used for, beside the board's RAM.
    pub fn memory(&self) -> RegionSet {
        let mut memory = self.machine.in_place();
        if let Some(map) = self.map() {
            memory.extend(map.memory().iter().copied());
        }
        memory
    }

    /// Returns how many bytes the tree and the memory map have together.
    pub fn size(&self) -> u64 {
        self.tree.len() as u64 + self.uefi.as_ref().map_or(0, |uefi| uefi.at.map.size())
    }

    /// Returns the console, if one is described that can be used.
    pub fn console(&self) -> Option<Console> {
        self.machine.console()
    }

    /// Reads the board; `appended` is as in [`BoardMap::read`].
    ///
    /// # Errors
    ///
    /// [`DescriptionError`] for the first thing that is missing or unusable.
    pub fn board(&self, appended: Option<Region>) -> Result<Board, DescriptionError> {
        let Some(uefi) = &self.uefi else {
            return Ok(Board::read_with(self.fdt, appended)?);
        };
        let memory = uefi.map.ram();
        let map = uefi.at.map;
        if !memory.contains(map.start(), map.size()) {
            return Err(DescriptionError::MapElsewhere(map));
        }
        let mut reserved = memory.clone();
        reserved.remove_all(&uefi.map.free());
        reserved.extend(uefi.reserved.iter().copied());
        reserved.extend(board::reserved(self.fdt)?.iter().copied());
        reserved.insert(map);
        Ok(Board {
            map: BoardMap {
                memory,
                reserved,
                modules: modules::read(self.fdt, appended)?,
            },
            hardware: self.machine.read::<DescriptionError>()?,
            claimed: self.machine.claimed(),
            bootargs: chosen::bootargs(self.fdt)?,
        })
    }

    /// Returns the UART of `console`, which [`Self::console`] told.
    pub fn uart(&self, console: Console) -> MonitorUart {
        self.machine.uart(console)
    }
}

#[cfg(test)]
mod tests;
