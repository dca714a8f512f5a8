// SPDX-License-Identifier: Apache-2.0
//! The first page of registers (6.3), as the guest has it.
//!
//! A store always comes here. A load does as long as the guest's command queue is off, and sees another
//! identification than the SMMU's then; with the queue on it goes to the SMMU, whose CR0 and indices are the guest's.

use super::identity::Identity;
use super::queue::Queue;
use super::table::Table;
use crate::memory::guest_memory::GuestMemory;

/// Offsets.
pub const CR0: u64 = 0x20;
const IDR0: u64 = 0;
const IDR5: u64 = 0x14;
const IIDR: u64 = 0x18;
const AIDR: u64 = 0x1c;
const CR0ACK: u64 = 0x24;
const CR1: u64 = 0x28;
const CR2: u64 = 0x2c;
const GBPA: u64 = 0x44;
const IRQ_CTRL: u64 = 0x50;
const IRQ_CTRLACK: u64 = 0x54;
const GERROR: u64 = 0x60;
const GERRORN: u64 = 0x64;
const STRTAB_BASE: u64 = 0x80;
const STRTAB_BASE_CFG: u64 = 0x88;
const CMDQ_BASE: u64 = 0x90;
/// CMDQ_PROD.
pub const CMDQ_PROD: u64 = 0x98;
const CMDQ_CONS: u64 = 0x9c;
const EVENTQ_BASE: u64 = 0xa0;

/// Bits of CR0.
pub const SMMUEN: u32 = 1 << 0;
/// The event queue.
pub const EVENTQEN: u32 = 1 << 2;
/// The command queue.
pub const CMDQEN: u32 = 1 << 3;
const ENABLES: u32 = SMMUEN | EVENTQEN | CMDQEN;
/// IRQ_CTRL: for errors, and for events.
const INTERRUPTS: u32 = 1 << 0 | 1 << 2;
/// All errors of GERROR.
const ERRORS: u32 = 0x1ff;
/// Of a base: a hint about caches; whose low bits say the size.
const HINT: u64 = 1 << 62;
/// Bytes of a command and of an event, as powers of two.
const COMMAND_BITS: u32 = 4;
const EVENT_BITS: u32 = 5;

/// What the monitor does for a store of the guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing more.
    Nothing,
    /// CR0 gets these bits, of those that the guest may set.
    Enable(u32),
    /// The commands between two places are taken, and the command queue's end is at the second.
    Commands(u32, u32),
    /// IRQ_CTRL gets this.
    Interrupts(u32),
    /// GERRORN gets this.
    Acknowledge(u32),
    /// The named register keeps what it had, or some of it, as the guest may not have that.
    Refused(&'static str),
}

/// What a load shows of the SMMU itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// CR0ACK.
    Acknowledged,
    /// GBPA.
    Untranslated,
    /// IRQ_CTRL.
    Interrupts,
    /// IRQ_CTRLACK.
    InterruptsAcknowledged,
    /// GERROR.
    Errors,
    /// GERRORN.
    ErrorsAcknowledged,
}

/// The registers.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    shown: Identity,
    event_bits: u32,
    cr0: u32,
    cr1: u32,
    cr2: u32,
    table_base: u64,
    table_config: u32,
    commands_base: u64,
    commands: Queue,
    produced: u32,
    consumed: u32,
    events_base: u64,
}

impl Registers {
    /// Those of an SMMU that nobody has set up.
    pub fn new(identity: &Identity) -> Self {
        let shown = identity.shown();
        Self {
            shown,
            event_bits: identity.event_bits(),
            cr0: 0,
            cr1: 0,
            cr2: 0,
            table_base: 0,
            table_config: 0,
            commands_base: 0,
            commands: command_queue(0, &shown),
            produced: 0,
            consumed: 0,
            events_base: 0,
        }
    }

    /// Returns what of CR0 is set.
    pub fn enabled(&self) -> u32 {
        self.cr0
    }

    /// Returns the guest's command queue.
    #[inline]
    pub fn commands(&self) -> Queue {
        self.commands
    }

    /// Returns CMDQ_PROD and CMDQ_CONS: with the queue on, CONS as it was before.
    pub fn places(&self) -> (u32, u32) {
        (self.produced, self.consumed)
    }

    /// Returns between which places the commands are that a store of `value` to CMDQ_PROD tells of, if the command queue
    /// is on.
    #[inline]
    pub fn told_by(&self, value: u32) -> Option<(u32, u32)> {
        (self.cr0 & CMDQEN != 0).then_some((self.produced, value & self.commands.mask()))
    }

    /// Returns the guest's stream table, if its registers lead to one.
    pub fn table(&self) -> Option<Table> {
        Table::new(self.table_base, self.table_config, self.shown.stream_bits())
    }

    /// CR0 has become `enabled`. If the command queue was on and is not, `consumed` is what CMDQ_CONS had last.
    pub fn set_enabled(&mut self, enabled: u32, consumed: u32) {
        if self.cr0 & !enabled & CMDQEN != 0 {
            self.consumed = consumed & self.commands().mask();
        }
        self.cr0 = enabled;
    }

    /// CMDQ_PROD has become `produced`.
    #[inline]
    pub fn set_produced(&mut self, produced: u32) {
        self.produced = produced;
    }

    /// Returns what a load of `size` bytes at `offset` shows; where it shows the SMMU itself, what `live` returns.
    pub fn load(&self, offset: u64, size: u64, live: impl Fn(Live) -> u32) -> u64 {
        let word = |offset: u64| u64::from(self.word(offset & !3, &live));
        match size {
            8 => word(offset) | word(offset + 4) << 32,
            4 => word(offset),
            // Of a part of a register.
            _ => word(offset) >> (8 * (offset & 3)) & ((1 << (8 * size)) - 1),
        }
    }

    fn word(&self, offset: u64, live: impl Fn(Live) -> u32) -> u32 {
        let half = |register: u64| (register >> (8 * (offset & 4))) as u32;
        match offset {
            IDR0..=IDR5 => self.shown.idr[(offset / 4) as usize],
            IIDR => self.shown.iidr,
            AIDR => self.shown.aidr,
            CR0 => self.cr0,
            CR0ACK => live(Live::Acknowledged) & self.cr0,
            CR1 => self.cr1,
            CR2 => self.cr2,
            GBPA => live(Live::Untranslated),
            IRQ_CTRL => live(Live::Interrupts),
            IRQ_CTRLACK => live(Live::InterruptsAcknowledged),
            GERROR => live(Live::Errors),
            GERRORN => live(Live::ErrorsAcknowledged),
            STRTAB_BASE | 0x84 => half(self.table_base),
            STRTAB_BASE_CFG => self.table_config,
            CMDQ_BASE | 0x94 => half(self.commands_base),
            CMDQ_PROD => self.produced,
            CMDQ_CONS => self.consumed,
            EVENTQ_BASE | 0xa4 => half(self.events_base),
            _ => 0,
        }
    }

    /// Takes a store of `size` bytes at `offset`, and returns what it comes to. What the SMMU writes to lies in
    /// `memory`, or is refused.
    pub fn store(
        &mut self,
        offset: u64,
        size: u64,
        value: u64,
        memory: &impl GuestMemory,
    ) -> Action {
        let word = value as u32;
        match (offset, size) {
            (CR0, 4) => return self.enable(word, memory),
            (CR1, 4) => self.cr1 = word,
            (CR2, 4) => self.cr2 = word,
            (IRQ_CTRL, 4) => return Action::Interrupts(word & INTERRUPTS),
            (GERRORN, 4) => return Action::Acknowledge(word & ERRORS),
            (STRTAB_BASE | 0x84, 4 | 8) if self.cr0 & SMMUEN == 0 => {
                self.table_base = merged(self.table_base, offset, size, value);
            }
            (STRTAB_BASE_CFG, 4) if self.cr0 & SMMUEN == 0 => self.table_config = word,
            (CMDQ_BASE | 0x94, 4 | 8) if self.cr0 & CMDQEN == 0 => {
                self.commands_base = merged(self.commands_base, offset, size, value);
                self.commands = command_queue(self.commands_base, &self.shown);
            }
            (CMDQ_PROD, 4) => match self.told_by(word) {
                Some((from, to)) => return Action::Commands(from, to),
                None => self.produced = word & self.commands.mask(),
            },
            (CMDQ_CONS, 4) if self.cr0 & CMDQEN == 0 => {
                self.consumed = word & self.commands().mask();
            }
            (EVENTQ_BASE | 0xa4, 4 | 8) if self.cr0 & EVENTQEN == 0 => {
                self.events_base = merged(self.events_base, offset, size, value);
            }
            // GBPA: what is not translated stays shut. Addresses of interrupts: there are none.
            _ => {}
        }
        Action::Nothing
    }

    fn events(&self) -> Queue {
        Queue::new(self.events_base, self.event_bits, EVENT_BITS)
    }

    /// Returns EVENTQ_BASE as the SMMU gets it before it is enabled.
    pub fn events_register(&self) -> u64 {
        let queue = self.events();
        self.events_base & HINT | queue.base | u64::from(queue.bits)
    }

    /// What is to be on may be: queues lie in `memory`.
    fn enable(&self, value: u32, memory: &impl GuestMemory) -> Action {
        let rises = value & ENABLES & !self.cr0;
        let lies = |queue: Queue| memory.contains(queue.base, queue.size());
        if rises & EVENTQEN != 0 && !lies(self.events()) {
            return Action::Refused("SMMU_EVENTQ_BASE");
        }
        if rises & CMDQEN != 0 {
            if !lies(self.commands()) {
                return Action::Refused("SMMU_CMDQ_BASE");
            }
            let (to, from) = self.places();
            if self.commands().distance(from, to).is_none() {
                return Action::Refused("SMMU_CMDQ_PROD");
            }
        }
        Action::Enable(value & ENABLES)
    }
}

/// Returns the queue that CMDQ_BASE says.
fn command_queue(base: u64, shown: &Identity) -> Queue {
    Queue::new(base, shown.command_bits(), COMMAND_BITS)
}

/// Returns a register of 64 bits with all of it, or one half, stored anew.
fn merged(register: u64, offset: u64, size: u64, value: u64) -> u64 {
    let low = 0xffff_ffff;
    match (size, offset & 4) {
        (8, 0) => value,
        (8, _) => register,
        (_, 0) => register & !low | value & low,
        _ => register & low | value << 32,
    }
}

#[cfg(test)]
mod tests;
