// SPDX-License-Identifier: Apache-2.0
//! Functions that are not there.

use super::{ABSENT, ConfigSpace, Function};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

/// What a function has in its registers, and what was written where, in order.
#[derive(Default)]
pub struct Fake {
    registers: RefCell<BTreeMap<(Function, u16), u32>>,
    /// Functions whose Command cannot be written.
    pub stuck: RefCell<Vec<Function>>,
    /// What was written, but for the identical.
    pub writes: RefCell<Vec<(Function, u16, u32)>>,
    /// How often something was read.
    pub reads: Cell<u32>,
}

impl Fake {
    /// Sets a register.
    pub fn set(&self, function: Function, register: u16, value: u32) {
        let mut registers = self.registers.borrow_mut();
        registers.insert((function, register), value);
    }

    /// Adds a function with its header type; it is a master of its bus, and has nothing else.
    pub fn function(&self, function: Function, header: u8) {
        for register in (0..0x40).step_by(4) {
            self.set(function, register, 0);
        }
        self.set(function, 0, 0x11e8_1234);
        self.set(function, 4, 0x0010_0007 & !(1 << 20));
        self.set(function, 0xc, u32::from(header) << 16);
    }

    /// Makes a function, which it adds if need be, one of PCI Express with a type of port.
    pub fn express(&self, function: Function, port: u32) {
        if self.read(function, 0) == ABSENT {
            self.function(function, 0);
        }
        let command = self.read(function, 4);
        self.set(function, 4, command | 1 << 20);
        self.set(function, 0x34, 0x40);
        self.set(function, 0x40, 0x0005 | 0x60 << 8);
        self.set(function, 0x60, 0x10 | port << 20);
        self.set(function, 0x100, 0);
    }

    /// Adds a bridge to a bus.
    pub fn bridge(&self, function: Function, secondary: u8, port: Option<u32>) {
        self.function(function, 1);
        if let Some(port) = port {
            self.express(function, port);
        }
        self.set(function, 0x18, u32::from(secondary) << 8);
    }

    /// Gives a function of PCI Express ARI, and `count` virtual functions that are masters of their bus.
    pub fn virtual_functions(&self, function: Function, count: u16, first: u16, stride: u16) {
        self.set(function, 0x100, 0x1401_000e);
        self.set(function, 0x140, 0x0001_0010);
        self.set(function, 0x148, 1);
        self.set(function, 0x150, count.into());
        self.set(function, 0x154, u32::from(stride) << 16 | u32::from(first));
        for n in 0..count {
            let id = function.id() + first + n * stride;
            // Its Vendor ID reads as if it were not there.
            self.set(Function::with_id(id), 4, 4);
        }
    }

    /// Returns whether a function is a master of its bus.
    pub fn is_master(&self, function: Function) -> bool {
        self.registers.borrow()[&(function, 4)] & 4 != 0
    }
}

impl ConfigSpace for Fake {
    fn read(&self, function: Function, register: u16) -> u32 {
        assert!(register.is_multiple_of(4) && register < 0x1000);
        self.reads.set(self.reads.get() + 1);
        let registers = self.registers.borrow();
        let value = registers.get(&(function, register));
        value.copied().unwrap_or(ABSENT)
    }

    fn write(&self, function: Function, register: u16, value: u32) {
        self.writes.borrow_mut().push((function, register, value));
        if !self.stuck.borrow().contains(&function) {
            let mut registers = self.registers.borrow_mut();
            if let Some(register) = registers.get_mut(&(function, register)) {
                // Status is cleared by ones.
                *register = value & 0xffff | *register & 0xffff_0000 & !value;
            }
        }
    }
}
