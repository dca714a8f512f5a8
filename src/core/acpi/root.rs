// SPDX-License-Identifier: Apache-2.0
//! From the RSDP (5.2.5) by the XSDT (5.2.8) or the RSDT (5.2.7) to the tables.

use super::Physical;
use super::error::AcpiError;
use super::signature::Signature;
use super::table::{HEADER, open, signature, sum};
use super::{aml, fadt, srat};
use crate::devicetree::cpus::Devices;
use crate::little_endian::{bytes_at, u32_at, u64_at};
use crate::memory::region::RegionSet;

/// Bytes of the RSDP of ACPI 1.0, which have a checksum of their own; and of that of ACPI 2.0.
const RSDP_FIRST: usize = 20;
const RSDP_WHOLE: usize = 36;
/// Offsets in the RSDP.
const RSDP_REVISION: usize = 15;
const RSDP_RSDT: usize = 16;
const RSDP_LENGTH: usize = 20;
const RSDP_XSDT: usize = 24;

const XSDT: Signature = Signature(*b"XSDT");
const RSDT: Signature = Signature(*b"RSDT");
const DSDT: Signature = Signature(*b"DSDT");
const SSDT: Signature = Signature(*b"SSDT");

/// The most tables that are looked at. A server has some forty.
const MAX_TABLES: usize = 1024;

/// The tables that a board is read from, each whole, with its length and its checksum checked.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    /// Multiple APIC Description Table.
    pub madt: &'a [u8],
    /// Fixed ACPI Description Table.
    pub fadt: &'a [u8],
    /// Serial Port Console Redirection Table; `None` too if it is broken, as nothing depends on it.
    pub spcr: Option<&'a [u8]>,
    /// Debug Port Table 2; `None` as with the SPCR.
    pub dbg2: Option<&'a [u8]>,
    /// System Resource Affinity Table; `None` as with the SPCR.
    pub srat: Option<&'a [u8]>,
    /// Table of PCI's configuration space (MCFG); `None` as with the SPCR.
    pub mcfg: Option<&'a [u8]>,
    /// IO Remapping Table; `None` as with the SPCR.
    pub iort: Option<&'a [u8]>,
    /// What DSDT and SSDTs name of the CPUs' devices; nothing of one that is broken.
    pub devices: Devices,
}

impl<'a> Tables<'a> {
    /// Finds the tables, from the RSDP at the physical address `rsdp` on.
    ///
    /// # Errors
    ///
    /// [`AcpiError`] for what is missing or broken on the way to MADT and FADT.
    pub fn find(memory: &'a impl Physical, rsdp: u64) -> Result<Self, AcpiError> {
        let root = Root::open(memory, rsdp)?;
        let needed = |wanted| {
            let address = root.find(memory, wanted);
            open(memory, address.ok_or(AcpiError::Missing(wanted))?, wanted)
        };
        let useful = |wanted| {
            let address = root.find(memory, wanted)?;
            open(memory, address, wanted).ok()
        };
        let fadt = needed(Signature(*b"FACP"))?;
        let mut devices = Devices::default();
        let dsdt = fadt::dsdt(fadt).map(|address| (address, DSDT));
        let ssdts = root.all(memory, SSDT).map(|address| (address, SSDT));
        for (address, wanted) in dsdt.into_iter().chain(ssdts) {
            if let Ok(table) = open(memory, address, wanted) {
                aml::find_devices(table, &mut devices);
            }
        }
        Ok(Self {
            devices,
            madt: needed(Signature(*b"APIC"))?,
            fadt,
            spcr: useful(Signature(*b"SPCR")),
            dbg2: useful(Signature(*b"DBG2")),
            srat: useful(Signature(*b"SRAT")),
            mcfg: useful(Signature(*b"MCFG")),
            iort: useful(Signature(*b"IORT")),
        })
    }

    /// Returns the addresses at which memory can be plugged in.
    pub fn hot_pluggable(&self) -> RegionSet {
        self.srat.map(srat::hot_pluggable).unwrap_or_default()
    }
}

/// Finds the first table of a signature, and returns its physical address; `None` if there is none.
/// The table itself is not checked.
///
/// # Errors
///
/// [`AcpiError`] if RSDP, XSDT or RSDT are broken.
pub fn find_table(
    memory: &impl Physical,
    rsdp: u64,
    signature: [u8; 4],
) -> Result<Option<u64>, AcpiError> {
    Ok(Root::open(memory, rsdp)?.find(memory, Signature(signature)))
}

/// The addresses of all tables.
enum Root<'a> {
    /// Of 64 bits.
    Xsdt(&'a [u8]),
    /// Of 32 bits.
    Rsdt(&'a [u8]),
}

impl<'a> Root<'a> {
    fn open(memory: &'a impl Physical, rsdp: u64) -> Result<Self, AcpiError> {
        let (address, wanted) = root(memory, rsdp)?;
        let table = open(memory, address, wanted)?;
        let addresses = table.get(HEADER..).unwrap_or_default();
        let (root, count) = if wanted == XSDT {
            (Self::Xsdt(addresses), addresses.len() / 8)
        } else {
            (Self::Rsdt(addresses), addresses.len() / 4)
        };
        if count > MAX_TABLES {
            return Err(AcpiError::TooMany {
                table: wanted,
                count,
            });
        }
        Ok(root)
    }

    /// Returns the address of the first table with a signature. An address that cannot be read is
    /// none: a table that nobody asks for may be anywhere.
    fn find(&self, memory: &impl Physical, wanted: Signature) -> Option<u64> {
        self.all(memory, wanted).next()
    }

    /// Returns the addresses of all tables with a signature.
    fn all(&self, memory: &impl Physical, wanted: Signature) -> impl Iterator<Item = u64> {
        (0..MAX_TABLES)
            .map_while(|index| self.address(index))
            .filter(move |address| signature(memory, *address) == Some(wanted))
    }

    fn address(&self, index: usize) -> Option<u64> {
        match self {
            Self::Xsdt(addresses) => u64_at(addresses, 8 * index),
            Self::Rsdt(addresses) => u32_at(addresses, 4 * index).map(u64::from),
        }
    }
}

/// Returns where the RSDP says that XSDT or RSDT is.
fn root(memory: &impl Physical, address: u64) -> Result<(u64, Signature), AcpiError> {
    let none = AcpiError::NoRsdp(address);
    let checked = |length| {
        let rsdp = memory.bytes(address, length).ok_or(none)?;
        match sum(rsdp) {
            0 => Ok(rsdp),
            sum => Err(AcpiError::RsdpChecksum { address, sum }),
        }
    };
    let first = memory.bytes(address, RSDP_FIRST).ok_or(none)?;
    if bytes_at(first, 0) != Some(*b"RSD PTR ") {
        return Err(none);
    }
    let first = checked(RSDP_FIRST)?;
    if first
        .get(RSDP_REVISION)
        .is_some_and(|revision| *revision >= 2)
    {
        let whole = memory.bytes(address, RSDP_WHOLE).ok_or(none)?;
        let length = u32_at(whole, RSDP_LENGTH).unwrap_or_default();
        if !(RSDP_WHOLE..=HEADER + 64).contains(&(length as usize)) {
            return Err(AcpiError::RsdpLength { address, length });
        }
        match u64_at(checked(length as usize)?, RSDP_XSDT) {
            None | Some(0) => {}
            Some(xsdt) => return Ok((xsdt, XSDT)),
        }
    }
    let rsdt = u32_at(first, RSDP_RSDT).unwrap_or_default();
    Ok((rsdt.into(), RSDT))
}

#[cfg(test)]
mod tests;
