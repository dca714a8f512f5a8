// SPDX-License-Identifier: Apache-2.0
//! A segment with one bus that is not there.

use super::Dma;
use crate::arch::fake::mmio::{self, Memory};
use baton_core::hardware::Dma as Described;
use baton_core::pci::Ecam;

/// Bytes of configuration space of a bus, and of a function.
const BUS: usize = 1 << 20;
const FUNCTION: usize = 1 << 12;

/// The configuration space of its only bus.
pub struct Pci(Memory);

impl Pci {
    /// Returns a bus without devices.
    pub fn empty() -> Self {
        let memory = Memory::new(BUS);
        for function in (0..BUS).step_by(FUNCTION) {
            mmio::poke(memory.base() + function, u32::MAX);
        }
        Self(memory)
    }

    /// Adds a device with one function, a master of its bus; returns where its Command is.
    pub fn add(&self, device: usize) -> usize {
        let function = self.0.base() + device * 8 * FUNCTION;
        mmio::poke(function, 0x11e8_1234);
        mmio::poke(function + 4, 0x0000_0007);
        function + 4
    }

    /// Adds a bridge that leads to its own bus, a master of that; returns where its Command is.
    pub fn add_bridge(&self, device: usize) -> usize {
        let command = self.add(device);
        mmio::poke(command + 8, 1 << 16);
        command
    }

    /// Returns what the monitor makes of it.
    pub fn dma(&self) -> Dma {
        let ecam = Ecam::new(0, 0, 0, self.0.base() as u64, true).expect("a bus");
        let described = Described {
            segments: [ecam].into(),
            ..Described::default()
        };
        // SAFETY: It is memory of the test's own.
        unsafe { Dma::new(&described) }
    }
}
