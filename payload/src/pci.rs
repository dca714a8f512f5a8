// SPDX-License-Identifier: Apache-2.0
//! The functions on the first bus of PCI (PCI Express Base Specification 6.0, 7.5.1), and QEMU's `edu`, which writes
//! where it is told (QEMU's docs/specs/edu.rst).

use crate::mmio::{read32, write32, write64};
use crate::outcome::{Outcome, ensure};
use crate::time::{TIMEOUT_MS, wait_until};

/// Registers of a function.
const COMMAND: u64 = 0x04;
const HEADER: u64 = 0x0c;
const BAR0: u64 = 0x10;
/// Bits of Command.
const MEMORY_SPACE: u32 = 1 << 1;
pub const BUS_MASTER: u32 = 1 << 2;

/// Vendor and device of an `edu`, the size of its registers, and its identification.
const EDU: u32 = 0x11e8_1234;
const EDU_SIZE: u64 = 1 << 20;
const EDU_ID: u32 = 0x0100_00ed;
/// Where it has memory of its own, which is zero at first.
const EDU_BUFFER: u64 = 0x4_0000;
/// Registers of its DMA, and bits of the last.
const EDU_SOURCE: u64 = 0x80;
const EDU_DESTINATION: u64 = 0x88;
const EDU_COUNT: u64 = 0x90;
const EDU_COMMAND: u64 = 0x98;
const EDU_RUN: u64 = 1 << 0;
const EDU_TO_MEMORY: u64 = 1 << 1;

/// The host bridge.
#[derive(Clone, Copy, Debug)]
pub struct Pci {
    /// Physical address of the configuration space of the first bus.
    pub ecam: u64,
    /// Addresses that functions can be given, which are the CPU's too: base and size in bytes; empty where no tree says it.
    pub window: (u64, u64),
}

/// A function: physical address of its configuration space.
#[derive(Clone, Copy)]
pub struct Function(u64);

impl Function {
    /// Its Command.
    pub fn command(self) -> u32 {
        read32(self.0 + COMMAND) & 0xffff
    }

    /// Whether it is a bridge to another bus.
    pub fn is_bridge(self) -> bool {
        read32(self.0 + HEADER) >> 16 & 0x7f == 1
    }

    /// Makes it a master of its bus.
    pub fn make_master(self) {
        write32(self.0 + COMMAND, self.command() | BUS_MASTER);
    }
}

impl Pci {
    /// The functions of the first bus, each with its number there.
    pub fn functions(self) -> impl Iterator<Item = (u16, Function)> {
        let function = move |n: u16| Function(self.ecam + u64::from(n) * 0x1000);
        let is_there = |function: Function| read32(function.0) as u16 != 0xffff;
        (0..256)
            .map(move |n| (n, function(n)))
            .filter(move |(n, f)| {
                let first = function(n & !7);
                let many = || is_there(first) && read32(first.0 + HEADER) & 1 << 23 != 0;
                is_there(*f) && (n % 8 == 0 || many())
            })
    }

    /// The `edu` devices, in the order of their numbers: their registers follow each other in the window.
    pub fn edus(self) -> impl Iterator<Item = Edu> {
        let edus = self.functions().filter(|(_, f)| read32(f.0) == EDU);
        let base = self.window.0.next_multiple_of(EDU_SIZE);
        (0..).zip(edus).map(move |(place, (number, function))| Edu {
            number,
            function,
            registers: base + place * EDU_SIZE,
        })
    }
}

/// An `edu`.
pub struct Edu {
    /// Its number on its bus, which is the first: what an SMMU knows it by.
    pub number: u16,
    function: Function,
    registers: u64,
}

impl Edu {
    /// Gives it its registers, and makes it a master of its bus.
    pub fn set_up(&self) -> Outcome {
        write32(self.function.0 + BAR0, self.registers as u32);
        write32(self.function.0 + COMMAND, MEMORY_SPACE | BUS_MASTER);
        let seen = read32(self.registers);
        ensure!(seen == EDU_ID, "edu: expected {EDU_ID:#x}, seen {seen:#x}");
        Ok(())
    }

    /// Has it write `size` bytes of zeros, fewer than 4096, to a physical address, 100 ms later.
    pub fn start(&self, destination: u64, size: u64) {
        write64(self.registers + EDU_SOURCE, EDU_BUFFER);
        write64(self.registers + EDU_DESTINATION, destination);
        write64(self.registers + EDU_COUNT, size);
        write64(self.registers + EDU_COMMAND, EDU_RUN | EDU_TO_MEMORY);
    }

    /// Whether it still has to write.
    pub fn runs(&self) -> bool {
        u64::from(read32(self.registers + EDU_COMMAND)) & EDU_RUN != 0
    }

    /// Waits until it has written, or tried to.
    pub fn wait(&self) -> Outcome {
        let ended = wait_until(TIMEOUT_MS, || !self.runs());
        ensure!(ended, "edu: expected its DMA to end, seen it run");
        Ok(())
    }
}
