// SPDX-License-Identifier: Apache-2.0
//! What `/chosen` says of UEFI: Linux's EFI stub writes it for the kernel, and each kernel hands it on to
//! the next one (Linux, Documentation/arch/arm/uefi.rst).

use super::node::{Located, big_endian, value};
use crate::memory::region::Region;
use dtoolkit::Node;
use dtoolkit::fdt::Fdt;
use thiserror::Error;

const SYSTEM_TABLE: &str = "linux,uefi-system-table";
/// Where the memory map is, of 64 bits.
pub(super) const MAP_START: &str = "linux,uefi-mmap-start";
/// How many bytes the memory map has, of 32 bits.
pub(super) const MAP_SIZE: &str = "linux,uefi-mmap-size";
const DESCRIPTOR_SIZE: &str = "linux,uefi-mmap-desc-size";
const DESCRIPTOR_VERSION: &str = "linux,uefi-mmap-desc-ver";

/// Where the tables of UEFI are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uefi {
    /// Physical address of the system table.
    pub system_table: u64,
    /// The memory map.
    pub map: Region,
    /// Bytes of a descriptor in it.
    pub descriptor: u32,
    /// The version of its descriptors.
    pub version: u32,
}

/// Why they are not known: a property that is missing, or that has no value which it can have.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("/chosen has {SYSTEM_TABLE}, but {property} has {length} bytes with the value {value:#x}")]
pub struct UefiError {
    /// Which.
    pub property: &'static str,
    /// Bytes that it has.
    pub length: usize,
    /// Their number, if they are 4 or 8, else 0.
    pub value: u64,
}

impl Uefi {
    /// Reads `/chosen`; `None` if the machine has no UEFI.
    ///
    /// # Errors
    ///
    /// [`UefiError`] for the first property that is of no use.
    pub fn read(fdt: Fdt<'_>) -> Result<Option<Self>, UefiError> {
        let Some(chosen) = Located::find(fdt, "/chosen") else {
            return Ok(None);
        };
        Self::of_chosen(|name| value(&chosen.node, name))
    }

    /// Reads `/chosen`, of which `property` returns the values; `None` if the machine has no UEFI.
    ///
    /// # Errors
    ///
    /// [`UefiError`] for the first property that is of no use.
    pub fn of_chosen<'a>(
        property: impl Fn(&str) -> Option<&'a [u8]>,
    ) -> Result<Option<Self>, UefiError> {
        if property(SYSTEM_TABLE).is_none() {
            return Ok(None);
        }
        let bytes = |name| property(name).unwrap_or_default();
        let error = |name| UefiError {
            property: name,
            length: bytes(name).len(),
            value: big_endian(bytes(name)).unwrap_or_default(),
        };
        let number = |name| big_endian(bytes(name)).ok_or_else(|| error(name));
        let narrow = |name| u32::try_from(number(name)?).map_err(|_| error(name));
        let size = number(MAP_SIZE)?;
        Ok(Some(Self {
            system_table: number(SYSTEM_TABLE)?,
            map: Region::new(number(MAP_START)?, size).map_err(|_| error(MAP_SIZE))?,
            descriptor: narrow(DESCRIPTOR_SIZE)?,
            version: narrow(DESCRIPTOR_VERSION)?,
        }))
    }
}

/// Returns whether a tree has nothing but `/chosen`: Linux takes the machine from ACPI then, and
/// otherwise from the tree (its `dt_is_stub`).
pub fn is_stub(fdt: &Fdt<'_>) -> bool {
    fdt.root().children().all(|node| node.name() == "chosen")
}

#[cfg(test)]
mod tests;
