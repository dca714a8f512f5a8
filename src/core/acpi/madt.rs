// SPDX-License-Identifier: Apache-2.0
//! The entries of the MADT (5.2.12) that an arm64 machine has.

use super::error::AcpiError;
use super::table::REVISION;
use crate::little_endian::{u16_at, u32_at, u64_at};

/// Where the entries begin.
const ENTRIES: usize = 44;
/// From this revision on entries say whether their memory is coherent (ACPI 6.6, 5.2.12).
const COHERENCE: u8 = 7;

/// Types of entries, and the least bytes that each has.
const GICC: (u8, usize) = (0x0b, 76);
const GICD: (u8, usize) = (0x0c, 24);
const GICR: (u8, usize) = (0x0e, 16);
const ITS: (u8, usize) = (0x0f, 20);

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A CPU, and its interface to the interrupt controller (5.2.12.14).
    Gicc(Gicc),
    /// The distributor (5.2.12.15).
    Gicd {
        /// Its address.
        base: u64,
        /// The version of the GIC; 0 if the hardware is to be asked.
        version: u8,
    },
    /// Redistributors one after another, all of them in power (5.2.12.17).
    Gicr {
        /// Address of the first.
        base: u64,
        /// Bytes.
        length: u32,
        /// They see tables in memory as CPUs do.
        coherent: bool,
    },
    /// An interrupt translation service (5.2.12.18).
    Its {
        /// Its address.
        base: u64,
        /// It sees tables in memory as CPUs do.
        coherent: bool,
    },
    /// Something else.
    Other,
}

/// A CPU. An address of 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gicc {
    /// It is there.
    pub enabled: bool,
    /// It is not there, but can be brought in.
    pub online_capable: bool,
    /// Its redistributor sees tables in memory as CPUs do.
    pub coherent: bool,
    /// Where it waits in the parking protocol.
    pub parked: u64,
    /// Its CPU interface, of a GICv2.
    pub cpu_interface: u64,
    /// Its virtual CPU interface, of a GICv2.
    pub virtual_cpu: u64,
    /// Its virtual interface control, of a GICv2.
    pub hypervisor: u64,
    /// Its redistributor, if no [`Entry::Gicr`] has it.
    pub redistributor: u64,
    /// Its MPIDR.
    pub mpidr: u64,
}

impl Gicc {
    /// Returns whether it is a CPU that a kernel can use, now or later. One that can be brought in, and
    /// has a redistributor of its own, is none: that has no power yet, and nothing says when it has.
    pub const fn is_cpu(&self) -> bool {
        self.enabled || self.online_capable && self.redistributor == 0
    }
}

/// Returns the entries of a MADT, in its order, up to the first broken one.
pub fn entries(madt: &[u8]) -> impl Iterator<Item = Result<Entry, AcpiError>> {
    let tells_coherence = madt.get(REVISION).is_some_and(|found| *found >= COHERENCE);
    let mut offset = ENTRIES;
    core::iter::from_fn(move || {
        let rest = madt.get(offset..).filter(|rest| !rest.is_empty())?;
        let found = entry(rest, tells_coherence);
        let at = offset;
        offset = match found {
            Ok((_, length)) => at + length,
            Err(_) => madt.len(),
        };
        Some(match found {
            Ok((entry, _)) => Ok(entry),
            Err((kind, length)) => Err(AcpiError::Entry {
                kind,
                offset: at,
                length,
            }),
        })
    })
}

/// Returns the CPUs that the machine has or can have, in the order of the MADT.
pub fn cpus(madt: &[u8]) -> impl Iterator<Item = Result<Gicc, AcpiError>> {
    entries(madt).filter_map(|entry| match entry {
        Ok(Entry::Gicc(gicc)) => gicc.is_cpu().then_some(Ok(gicc)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

/// Reads the entry at the beginning of `rest`, and returns it with its length; or its type and the
/// length that it cannot have.
fn entry(rest: &[u8], tells_coherence: bool) -> Result<(Entry, usize), (u8, usize)> {
    let kind = rest.first().copied().unwrap_or_default();
    let length = rest.get(1).copied().unwrap_or_default().into();
    let bad = (kind, length);
    let least = [GICC, GICD, GICR, ITS].iter().find(|known| known.0 == kind);
    let bytes = rest.get(..length).ok_or(bad)?;
    if length < least.map_or(2, |known| known.1) {
        return Err(bad);
    }
    let entry = match kind {
        kind if kind == GICC.0 => gicc(bytes, tells_coherence).map(Entry::Gicc),
        kind if kind == GICD.0 => gicd(bytes),
        kind if kind == GICR.0 => gicr(bytes, tells_coherence),
        kind if kind == ITS.0 => its(bytes, tells_coherence),
        _ => Some(Entry::Other),
    };
    Ok((entry.ok_or(bad)?, length))
}

fn gicc(bytes: &[u8], tells_coherence: bool) -> Option<Gicc> {
    let flags = u32_at(bytes, 12)?;
    Some(Gicc {
        enabled: flags & 1 != 0,
        online_capable: flags & 1 << 3 != 0,
        coherent: !tells_coherence || flags & 1 << 4 == 0,
        parked: u64_at(bytes, 24)?,
        cpu_interface: u64_at(bytes, 32)?,
        virtual_cpu: u64_at(bytes, 40)?,
        hypervisor: u64_at(bytes, 48)?,
        redistributor: u64_at(bytes, 60)?,
        mpidr: u64_at(bytes, 68)?,
    })
}

fn gicd(bytes: &[u8]) -> Option<Entry> {
    Some(Entry::Gicd {
        base: u64_at(bytes, 8)?,
        version: *bytes.get(20)?,
    })
}

fn gicr(bytes: &[u8], tells_coherence: bool) -> Option<Entry> {
    Some(Entry::Gicr {
        base: u64_at(bytes, 4)?,
        length: u32_at(bytes, 12)?,
        coherent: !tells_coherence || bytes.get(2)? & 1 == 0,
    })
}

fn its(bytes: &[u8], tells_coherence: bool) -> Option<Entry> {
    Some(Entry::Its {
        base: u64_at(bytes, 8)?,
        coherent: !tells_coherence || u16_at(bytes, 2)? & 1 == 0,
    })
}

#[cfg(test)]
mod tests;
