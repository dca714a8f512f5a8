// SPDX-License-Identifier: Apache-2.0
//! The UART of the console: that of the SPCR, else the first one of the DBG2 (both are Microsoft's:
//! "Serial Port Console Redirection Table", "Debug Port Table 2").

use super::root::Tables;
use crate::devicetree::console::Console;
use crate::little_endian::{u16_at, u32_at, u64_at};
use crate::memory::region::Region;
use crate::uart::{Spread, Uart};
use thiserror::Error;

/// Why there is no console.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Silent {
    /// Neither table names a UART.
    #[error("neither SPCR nor DBG2 names a UART")]
    Unnamed,
    /// It is none that is known.
    #[error("the UART that is named, of type {0:#x}, is none that is known")]
    Unknown(u16),
    /// Its registers are not in memory, or lie where it cannot have them.
    #[error(
        "the registers of the UART that is named cannot be at {address:#x}, address space {space}"
    )]
    Registers {
        /// Their address.
        address: u64,
        /// The address space; 0 is memory.
        space: u8,
    },
}

/// Offsets in the SPCR.
const SPCR_TYPE: usize = 36;
const SPCR_BASE: usize = 40;
/// Offsets in the DBG2.
const DBG2_FIRST: usize = 36;
const DBG2_COUNT: usize = 40;
/// Offsets in a device of the DBG2.
const DEVICE_LENGTH: usize = 1;
const DEVICE_REGISTERS: usize = 3;
const DEVICE_TYPE: usize = 12;
const DEVICE_SUBTYPE: usize = 14;
const DEVICE_BASE: usize = 18;
/// The type of a serial port.
const SERIAL: u16 = 0x8000;

/// Subtypes of a serial port, in both tables.
const FULL_16550: u16 = 0x00;
const SUBSET_16550: u16 = 0x01;
const PL011: u16 = 0x03;
const NVIDIA_16550: u16 = 0x05;
const SBSA_32: u16 = 0x0d;
const SBSA: u16 = 0x0e;
const GAS_16550: u16 = 0x12;

/// Bytes of registers, of which the tables tell only the first.
const PAGE: u64 = 0x1000;

/// A Generic Address Structure (5.2.3.2).
struct Address {
    space: u8,
    bit_width: u8,
    access_size: u8,
    address: u64,
}

/// Finds the console.
///
/// # Errors
///
/// [`Silent`]: why the UART of the SPCR or, without it, of the DBG2 is none.
pub fn find(tables: &Tables<'_>) -> Result<Console, Silent> {
    spcr(tables.spcr.unwrap_or_default()).or_else(|why| {
        dbg2(tables.dbg2.unwrap_or_default()).map_err(|other| match why {
            Silent::Unnamed => other,
            why => why,
        })
    })
}

fn spcr(table: &[u8]) -> Result<Console, Silent> {
    let kind = table.get(SPCR_TYPE).copied().ok_or(Silent::Unnamed)?;
    let base = Address::read(table, SPCR_BASE).ok_or(Silent::Unnamed)?;
    console(kind.into(), &base)
}

fn dbg2(table: &[u8]) -> Result<Console, Silent> {
    first_serial(table).map_or(Err(Silent::Unnamed), |(kind, base)| console(kind, &base))
}

/// Returns subtype and address of the first serial port.
fn first_serial(table: &[u8]) -> Option<(u16, Address)> {
    let mut rest = table.get(u32_at(table, DBG2_FIRST)? as usize..)?;
    for _ in 0..u32_at(table, DBG2_COUNT)? {
        let length = u16_at(rest, DEVICE_LENGTH)?;
        let (device, next) = rest.split_at_checked(length.into())?;
        // One that is too short for its type ends this: the next one would be in its place.
        if u16_at(device, DEVICE_TYPE)? == SERIAL && *device.get(DEVICE_REGISTERS)? != 0 {
            let base = u16_at(device, DEVICE_BASE)?;
            let base = Address::read(device, base.into())?;
            return Some((u16_at(device, DEVICE_SUBTYPE)?, base));
        }
        rest = next;
    }
    None
}

impl Address {
    fn read(table: &[u8], at: usize) -> Option<Self> {
        let bytes = table.get(at..)?;
        Some(Self {
            space: *bytes.first()?,
            bit_width: *bytes.get(1)?,
            access_size: *bytes.get(3)?,
            address: u64_at(bytes, 4)?,
        })
    }

    /// Returns how the registers of a 16550 lie: from one to the next, as many bytes as a register is
    /// said to have, or those of an access if these are more. Where no size of an access is said, it
    /// is that of a register.
    fn spread(&self) -> Spread {
        let register = match self.bit_width {
            16 => 1,
            32.. => 2,
            _ => 0,
        };
        let access = match self.access_size {
            0 => register,
            size => size - 1,
        };
        Spread {
            shift: Some(access.max(register).into()),
            width: 1u64.checked_shl(access.into()),
        }
    }
}

fn console(kind: u16, base: &Address) -> Result<Console, Silent> {
    // Firmware's user has switched the console off, or its maker has no UART.
    if base.address == 0 {
        return Err(Silent::Unnamed);
    }
    let wrong = Silent::Registers {
        address: base.address,
        space: base.space,
    };
    let uart = match kind {
        PL011 | SBSA_32 | SBSA => Some(Uart::PL011),
        FULL_16550 | SUBSET_16550 | GAS_16550 => {
            Some(Uart::find(b"ns16550a", base.spread()).ok_or(wrong)?)
        }
        NVIDIA_16550 => Uart::find(b"nvidia,tegra20-uart", Spread::default()),
        _ => None,
    };
    let uart = uart.ok_or(Silent::Unknown(kind))?;
    let registers = Region::new(base.address, PAGE).map_err(|_| wrong)?;
    if base.space == 0 && uart.layout().fits(&registers) {
        Ok(Console { uart, registers })
    } else {
        Err(wrong)
    }
}

#[cfg(test)]
mod tests;
