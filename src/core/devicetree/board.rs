// SPDX-License-Identifier: Apache-2.0
//! Reads the board from its device tree.

use super::blob;
use super::chosen;
use super::claimed;
use super::console::{self, Console, Silent};
use super::cpus::{self, Cpu, EnableMethod, Unusable};
use super::dma;
use super::error::BoardError;
use super::external_debug;
use super::gic;
use super::modules::{self, Modules};
use super::node::{Located, is_available, text};
use super::{psci, timer};
use crate::hardware::Hardware;
use crate::memory::region::{Region, RegionSet};
use alloc::string::String;
use alloc::vec::Vec;
use dtoolkit::Node;
use dtoolkit::fdt::{Fdt, FdtNode};

/// The board's memory, and what is loaded in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryMap {
    /// Memory that kernels may map: all `/memory` nodes without the `no-map` regions.
    pub memory: RegionSet,
    /// Reserved regions, in memory or not: `/memreserve/` and `/reserved-memory`.
    pub reserved: RegionSet,
    /// The guest's kernel and ramdisk.
    pub modules: Modules,
}

/// What the monitor needs to know of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// Its memory.
    pub map: MemoryMap,
    /// All addresses that the tree gives to anything.
    pub claimed: RegionSet,
    /// The rest of the machine.
    pub hardware: Hardware,
    /// The monitor's own command line; empty if there is none.
    pub bootargs: String,
}

impl MemoryMap {
    /// Reads the map of a board. `appended` is where a guest kernel lies that was loaded in one
    /// file with the monitor: it is the guest's if `/chosen` has no module that is a kernel.
    ///
    /// # Errors
    ///
    /// Returns [`BoardError`] for the first thing that is missing or unusable.
    pub fn read(fdt: Fdt<'_>, appended: Option<Region>) -> Result<Self, BoardError> {
        Ok(Self {
            memory: memory(fdt)?,
            reserved: reserved(fdt)?,
            modules: modules::read(fdt, appended)?,
        })
    }
}

impl Board {
    /// Reads the board from the device tree at the beginning of `fdt`, which may be longer.
    ///
    /// # Errors
    ///
    /// Returns [`BoardError`] for the first thing that is missing or unusable.
    pub fn read(fdt: &[u8]) -> Result<Self, BoardError> {
        Self::read_with(blob::open(fdt)?, None)
    }

    /// Reads the board from a tree that is open; `appended` is as in [`MemoryMap::read`].
    ///
    /// # Errors
    ///
    /// Returns [`BoardError`] for the first thing that is missing or unusable.
    pub fn read_with(fdt: Fdt<'_>, appended: Option<Region>) -> Result<Self, BoardError> {
        Ok(Self {
            map: MemoryMap::read(fdt, appended)?,
            claimed: claimed::read(fdt),
            hardware: hardware(fdt)?,
            bootargs: chosen::bootargs(fdt)?,
        })
    }
}

/// Reads all of the machine but its memory.
///
/// # Errors
///
/// Returns [`BoardError`] for the first thing that is missing or unusable.
pub fn hardware(fdt: Fdt<'_>) -> Result<Hardware, BoardError> {
    let mut cpus = cpus::read(fdt)?;
    let psci = psci::read(fdt)?;
    if psci.is_none() {
        let waits = |cpu: &Cpu| matches!(cpu.enable_method, EnableMethod::SpinTable { .. });
        if let Some(board) = psci::is_added_later(fdt)
            && !cpus.iter().all(waits)
        {
            return Err(BoardError::NoPsciYet { board });
        }
        for cpu in &mut cpus {
            if cpu.enable_method == EnableMethod::Psci {
                cpu.enable_method = EnableMethod::Other(Unusable::NoPsci);
            }
        }
    }
    Ok(Hardware {
        cpus,
        psci,
        gic: gic::read(fdt)?,
        devices: cpus::devices(fdt),
        external_debug: external_debug::registers(fdt),
        counter_frequency: timer::frequency(fdt),
        console: console(fdt).ok(),
        dma: dma::read(fdt),
    })
}

/// Reads the console alone, so that errors of the rest of the tree can be printed on it.
///
/// # Errors
///
/// [`Silent`]: why there is none.
pub fn console(fdt: Fdt<'_>) -> Result<Console, Silent> {
    console::find(fdt)
}

/// Reads the memory that kernels may map.
fn memory(fdt: Fdt<'_>) -> Result<RegionSet, BoardError> {
    let root = Located::find(fdt, "/").ok_or(BoardError::NoMemory)?;
    let mut memory = RegionSet::new();
    for node in root
        .children()
        .filter(|n| is_memory(&n.node) && is_available(&n.node))
    {
        memory.extend(node.regs()?);
    }
    for node in reserved_nodes(fdt) {
        if node.node.property("no-map").is_some() {
            node.regs()?.iter().for_each(|region| memory.remove(region));
        }
    }
    if memory.is_empty() {
        Err(BoardError::NoMemory)
    } else {
        Ok(memory)
    }
}

/// Reads the regions that are reserved, in memory or not.
///
/// # Errors
///
/// Returns [`BoardError::Reg`] for a node that does not say which.
pub fn reserved(fdt: Fdt<'_>) -> Result<RegionSet, BoardError> {
    let mut reserved: RegionSet = fdt
        .memory_reservations()
        .filter_map(|r| Region::new(r.address(), r.size()).ok())
        .collect();
    for node in reserved_nodes(fdt) {
        reserved.extend(node.regs()?);
    }
    Ok(reserved)
}

/// Returns the nodes of regions that are reserved.
fn reserved_nodes(fdt: Fdt<'_>) -> Vec<Located<'_>> {
    let parent = Located::find(fdt, "/reserved-memory");
    parent
        .iter()
        .flat_map(Located::children)
        .filter(|node| is_available(&node.node))
        .collect()
}

/// Returns whether a child of the root is a memory node.
fn is_memory(node: &FdtNode<'_>) -> bool {
    text(node, "device_type") == Some("memory")
}

#[cfg(test)]
mod tests;
