// SPDX-License-Identifier: Apache-2.0
//! PCI: where the configuration space of functions is (PCI Express Base Specification 6.0, 7.2.2), and how their
//! DMA is stopped in it.
#![forbid(unsafe_code)]

pub mod buses;
pub mod capabilities;
pub mod stop;

use crate::memory::region::Region;
use core::fmt::{Display, Formatter};

/// Bytes of configuration space of a bus, and of a function.
const BUS_SIZE: u64 = 1 << 20;
const FUNCTION_SIZE: u64 = 1 << 12;

/// The register of every function with Command, and Status in its upper half (7.5.1.1).
const COMMAND_STATUS: u16 = 0x04;

/// What a read of a function that is not there returns.
pub const ABSENT: u32 = !0;

/// A function of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    /// Its bus.
    pub bus: u8,
    /// Its device, in the bits from 3 on, and its number in that.
    pub number: u8,
}

impl Function {
    /// Returns its Routing ID.
    pub fn id(self) -> u16 {
        u16::from(self.bus) << 8 | u16::from(self.number)
    }

    /// Returns the function with a Routing ID.
    pub fn with_id(id: u16) -> Self {
        let [bus, number] = id.to_be_bytes();
        Self { bus, number }
    }
}

impl Display for Function {
    fn fmt(&self, f: &mut Formatter) -> core::fmt::Result {
        let (device, function) = (self.number >> 3, self.number & 7);
        write!(f, "{:02x}:{device:02x}.{function}", self.bus)
    }
}

/// A range of buses whose configuration space is in memory, as the Enhanced Configuration Access Mechanism has
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecam {
    /// The segment, which Linux calls domain.
    pub segment: u16,
    /// The first bus.
    pub first: u8,
    /// The last bus.
    pub last: u8,
    /// Whether the first bus is the only one that no bridge leads to. If not, others may be roots too.
    pub one_root: bool,
    /// Where the configuration space of these buses is.
    pub region: Region,
}

impl Ecam {
    /// Returns that of the buses from `first` to `last`, the first of which is at `start`; `None` if there is
    /// none there.
    pub fn new(segment: u16, first: u8, last: u8, start: u64, one_root: bool) -> Option<Self> {
        let buses = u64::from(last.checked_sub(first)?) + 1;
        let region = Region::new(start, buses * BUS_SIZE).ok()?;
        let ecam = Self {
            segment,
            first,
            last,
            one_root,
            region,
        };
        (start != 0 && region.is_aligned(FUNCTION_SIZE)).then_some(ecam)
    }

    /// Returns the physical address of a 32-bit register, which lies in [`Self::region`]; `None` if the function
    /// is on another bus, or has no such register.
    #[inline]
    pub fn address(&self, function: Function, register: u16) -> Option<u64> {
        // One comparison for both ends: the walk asks for each place where a device may be.
        let bus = function.bus.wrapping_sub(self.first);
        if bus > self.last - self.first
            || !register.is_multiple_of(4)
            || u64::from(register) >= FUNCTION_SIZE
        {
            return None;
        }
        let bus = u64::from(bus) * BUS_SIZE;
        let function = u64::from(function.number) * FUNCTION_SIZE;
        Some(self.region.start() + bus + function + u64::from(register))
    }
}

/// The configuration space of the functions of a segment.
pub trait ConfigSpace {
    /// Reads the 32-bit register at an offset, a multiple of 4: [`ABSENT`] where there is none.
    fn read(&self, function: Function, register: u16) -> u32;

    /// Writes it. A function that is not there ignores that.
    fn write(&self, function: Function, register: u16, value: u32);
}

#[cfg(test)]
mod fake;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn function(bus: u8, device: u8, number: u8) -> Function {
        Function {
            bus,
            number: device << 3 | number,
        }
    }

    #[test]
    fn every_register_is_in_the_region_and_none_beyond() {
        let ecam = Ecam::new(0, 0x20, 0x2f, 0x40_1000_0000, true).expect("buses");
        assert_eq!(ecam.region.size(), 16 << 20);
        for (function, register, expected) in [
            (function(0x20, 0, 0), 0, Some(0x40_1000_0000)),
            (function(0x20, 1, 2), 4, Some(0x40_1000_a004)),
            (function(0x2f, 31, 7), 0xffc, Some(0x40_10ff_fffc)),
            (function(0x30, 0, 0), 0, None),
            (function(0x1f, 31, 7), 0, None),
            (function(0x20, 0, 0), 2, None),
            (function(0x2f, 31, 7), 0x1000, None),
        ] {
            let seen = ecam.address(function, register);
            assert_eq!(seen, expected, "{function} at {register:#x}");
        }
    }

    #[test]
    fn what_cannot_be_is_none() {
        for (first, last, start) in [
            (1, 0, 0x1000_0000),
            (0, 255, 0),
            (0, 255, 0x1000_0800),
            (0, 255, u64::MAX - 0xfff),
        ] {
            let seen = Ecam::new(0, first, last, start, true);
            assert_eq!(seen, None, "buses {first} to {last} at {start:#x}");
        }
    }

    #[test]
    fn a_function_is_named_as_linux_does() {
        assert_eq!(function(0x3a, 0x1f, 6).to_string(), "3a:1f.6");
        assert_eq!(Function::with_id(0x3afe), function(0x3a, 0x1f, 6));
        assert_eq!(function(0x3a, 0x1f, 6).id(), 0x3afe);
    }
}
