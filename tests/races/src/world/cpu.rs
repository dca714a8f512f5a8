// SPDX-License-Identifier: Apache-2.0
//! One CPU of the model.

use crate::plain::Plain;
use baton_core::smp::platform::HasPower;
use baton_core::smp::power::Power;
use baton_core::smp::rendezvous::{Member, Participant};
use baton_core::sync::atomic::AtomicBool;

/// One CPU.
pub struct Core {
    pub(super) index: usize,
    pub(super) power: Power,
    pub(super) member: Member,
    /// What stands for the guest's registers: 1 in the guest, 0 once they are cleared.
    pub(super) state: Plain,
    /// Its part of the next kernel: the generation that this was copied for.
    pub(super) copied: Plain,
    /// Firmware has it on.
    pub(super) running: AtomicBool,
    /// It has left the test.
    pub(super) done: AtomicBool,
}

impl Core {
    /// Returns CPU `index`, off in firmware.
    pub(super) fn new(index: usize) -> Self {
        Self {
            index,
            power: Power::new(),
            member: Member::new(),
            state: Plain::default(),
            copied: Plain::default(),
            running: AtomicBool::new(false),
            done: AtomicBool::new(false),
        }
    }
}

impl Participant for Core {
    fn index(&self) -> usize {
        self.index
    }

    fn member(&self) -> &Member {
        &self.member
    }
}

impl HasPower for Core {
    fn power(&self) -> &Power {
        &self.power
    }
}
