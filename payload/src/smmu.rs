// SPDX-License-Identifier: Apache-2.0
//! An SMMUv3 (Arm IHI 0070), as a driver sets it up and uses it.

use crate::arena::Arena;
use crate::machine::Machine;
use crate::mmio::{read32, read64, write32, write64};
use crate::outcome::{Outcome, ensure};
use crate::time::wait_until;

/// Registers of the first page, and of the second.
const IDR0: u64 = 0;
pub const CR0: u64 = 0x20;
pub const CR0ACK: u64 = 0x24;
const CR1: u64 = 0x28;
pub const GBPA: u64 = 0x44;
const IRQ_CTRL: u64 = 0x50;
pub const IRQ_CTRLACK: u64 = 0x54;
pub const GERROR: u64 = 0x60;
pub const GERRORN: u64 = 0x64;
const STRTAB_BASE: u64 = 0x80;
const STRTAB_BASE_CFG: u64 = 0x88;
const CMDQ_BASE: u64 = 0x90;
const CMDQ_PROD: u64 = 0x98;
pub const CMDQ_CONS: u64 = 0x9c;
const EVENTQ_BASE: u64 = 0xa0;
const EVENTQ_PROD: u64 = 0x1_00a8;
const EVENTQ_CONS: u64 = 0x1_00ac;

/// IDR0.S2P: there is stage 2.
const S2P: u32 = 1 << 0;
/// CR0: translation, event queue, command queue. IRQ_CTRL: errors, events.
const ENABLES: u32 = SMMUEN | EVENTQEN | 1 << 3;
const SMMUEN: u32 = 1 << 0;
pub const EVENTQEN: u32 = 1 << 2;
const INTERRUPTS: u32 = 1 << 0 | 1 << 2;
/// CR1: tables and queues are inner shareable, write-back.
const CACHED: u32 = 0xd75;
/// GBPA.ABORT.
pub const ABORT: u32 = 1 << 20;

/// Streams that have an entry, as a power of two: those of the first bus of PCI. An entry has 64 bytes.
const STREAM_BITS: u64 = 8;
/// An entry of a stream that goes through untranslated, with its own shareability.
pub const BYPASS: [u64; 2] = [1 | 4 << 1, 1 << 44];
/// One with stage 1 by a context descriptor, read through the caches, and what a descriptor begins with:
/// 39 bits of address by TTB0 alone, tables read through the caches, 40 bits out, AArch64, faults recorded.
const STAGE_1: [u64; 2] = [1 | 5 << 1, 1 << 44 | 3 << 6 | 1 << 4 | 1 << 2];
const CONTEXT: u64 = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 3 << 30 | 2 << 32 | 1 << 41 | 3 << 45;
/// The first memory type: write-back. A block of 1 GiB of that which anybody may write.
const WRITE_BACK: u64 = 0xff;
const BLOCK: u64 = 0x741;
const GIB: u64 = 1 << 30;
/// Commands, and one that there is none of.
const CFGI_STE: u64 = 3;
const CFGI_ALL: [u64; 2] = [4, 31];
const TLBI_NH_VA: [u64; 2] = [0x12, 0x1001];
const SYNC: [u64; 2] = [0x46, 0];
const ILLEGAL: [u64; 2] = [0xff, 0];
/// Commands and events that there is room for, as a power of two.
const QUEUE_BITS: u64 = 4;
const PLACES: u32 = (2 << QUEUE_BITS) - 1;

/// Memory that it is given: the stream table, and behind that the queues.
const SIZE: u64 = 64 << 10;
const CONTEXT_AT: u64 = 0x4000;
const TABLE_AT: u64 = 0x5000;
const COMMANDS_AT: u64 = 0x8000;
const EVENTS_AT: u64 = 0xc000;
/// How long it may take, in milliseconds.
const MS: u64 = 1000;

/// An SMMU with memory in the arena.
pub struct Smmu {
    base: u64,
    memory: u64,
    commands: u64,
    next: u32,
}

impl Smmu {
    /// Lets all streams through untranslated by its stream table, with queues and interrupts on.
    pub fn set_up(base: u64, arena: Arena, machine: &Machine) -> Outcome<Self> {
        let memory = arena.below(machine, SIZE)?;
        let store = |at: u64, words: [u64; 2]| write_pair(memory + at, words);
        for at in (0..SIZE).step_by(16) {
            store(at, [0; 2]);
        }
        for stream in 0..1 << STREAM_BITS {
            store(64 * stream, BYPASS);
        }
        write32(base + CR0, 0);
        acknowledged(base, "SMMU_CR0ACK", CR0ACK, 0)?;
        write32(base + CR1, CACHED);
        write64(base + STRTAB_BASE, memory);
        write32(base + STRTAB_BASE_CFG, STREAM_BITS as u32);
        write64(base + CMDQ_BASE, (memory + COMMANDS_AT) | QUEUE_BITS);
        write64(base + EVENTQ_BASE, (memory + EVENTS_AT) | QUEUE_BITS);
        for register in [CMDQ_PROD, CMDQ_CONS, EVENTQ_PROD, EVENTQ_CONS] {
            write32(base + register, 0);
        }
        write32(base + CR0, 1 << 3);
        acknowledged(base, "SMMU_CR0ACK", CR0ACK, 1 << 3)?;
        let mut smmu = Self {
            base,
            memory,
            commands: memory + COMMANDS_AT,
            next: 0,
        };
        smmu.push(CFGI_ALL);
        smmu.push(SYNC);
        smmu.consumed()?;
        write32(base + IRQ_CTRL, INTERRUPTS);
        acknowledged(base, "SMMU_IRQ_CTRLACK", IRQ_CTRLACK, INTERRUPTS)?;
        write32(base + CR0, ENABLES);
        acknowledged(base, "SMMU_CR0ACK", CR0ACK, ENABLES)?;
        Ok(smmu)
    }

    /// Has it meet a command that there is none of, and stop at it.
    pub fn fail(&mut self) {
        self.push(ILLEGAL);
        let fails = || read32(self.base + GERROR) != read32(self.base + GERRORN);
        wait_until(MS, fails);
    }

    /// Where its tables and queues are.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Puts another command in the place of the one that it has stopped at, and has it go on.
    pub fn recover(&mut self) -> Outcome {
        let stopped = read32(self.base + CMDQ_CONS) & PLACES;
        write_pair(self.command_at(stopped), SYNC);
        // SAFETY: a barrier: the command is in memory before it goes on.
        unsafe { core::arch::asm!("dsb sy", options(nostack, preserves_flags)) };
        write32(self.base + GERRORN, read32(self.base + GERROR));
        self.consumed()
    }

    /// Invalidates the translation of one page, as a driver does for each one that it takes from a device.
    pub fn invalidate(&mut self) -> Outcome {
        write_pair(self.command_at(self.next), TLBI_NH_VA);
        write_pair(self.command_at(self.next + 1), SYNC);
        self.publish(2);
        self.consumed()
    }

    /// Takes the GiB with an address out of the table of [`Self::context`], and waits until the SMMU has forgotten what
    /// was translated there.
    pub fn unmap(&mut self, address: u64) -> Outcome {
        write64(self.memory + TABLE_AT + 8 * (address / GIB), 0);
        let [invalidate, _] = TLBI_NH_VA;
        self.push([invalidate, address & !0xfff | 1]);
        self.push(SYNC);
        self.consumed()
    }

    /// Gives a stream this entry, and waits until it has that.
    pub fn set_entry(&mut self, stream: u16, entry: [u64; 8]) -> Outcome {
        let stream = u64::from(stream);
        for (n, word) in (0..).zip(entry) {
            write64(self.memory + 64 * stream + 8 * n, word);
        }
        self.push([CFGI_STE | stream << 32, 1]);
        self.push(SYNC);
        self.consumed()
    }

    /// An entry with stage 1, by a context descriptor at an address.
    pub fn stage_1(context: u64) -> [u64; 8] {
        let [first, second] = STAGE_1;
        [first | context, second, 0, 0, 0, 0, 0, 0]
    }

    /// A context descriptor by which all memory is at its own address, or by a table at another address.
    pub fn context(&self, table: Option<u64>) -> u64 {
        for gib in 0..512 {
            write64(self.memory + TABLE_AT + 8 * gib, (gib * GIB) | BLOCK);
        }
        let context = self.memory + CONTEXT_AT;
        let table = table.unwrap_or(self.memory + TABLE_AT);
        for (n, word) in (0..).zip([CONTEXT, table, 0, WRITE_BACK]) {
            write64(context + 8 * n, word);
        }
        context
    }

    /// Takes the next event, if there is one.
    pub fn event(&self) -> Option<[u64; 4]> {
        let place = read32(self.base + EVENTQ_CONS);
        if place == read32(self.base + EVENTQ_PROD) {
            return None;
        }
        let at = self.memory + EVENTS_AT + 32 * u64::from(place & ((1 << QUEUE_BITS) - 1));
        write32(self.base + EVENTQ_CONS, (place + 1) & PLACES);
        Some([0, 8, 16, 24].map(|n| read64(at + n)))
    }

    /// Has its events written to another address, two at most. Returns what of CR0 is on then.
    pub fn move_events(&self, address: u64) -> u32 {
        write32(self.base + CR0, ENABLES & !EVENTQEN);
        let is_off = || read32(self.base + CR0ACK) & EVENTQEN == 0;
        wait_until(MS, is_off);
        write64(self.base + EVENTQ_BASE, address | 1);
        write32(self.base + EVENTQ_PROD, 0);
        write32(self.base + EVENTQ_CONS, 0);
        write32(self.base + CR0, ENABLES);
        read32(self.base + CR0ACK)
    }

    /// Turns it off.
    pub fn turn_off(&self) -> Outcome {
        write32(self.base + CR0, 0);
        acknowledged(self.base, "SMMU_CR0ACK", CR0ACK, 0)
    }

    fn push(&mut self, command: [u64; 2]) {
        write_pair(self.command_at(self.next), command);
        self.publish(1);
    }

    /// Waits until it has done all commands. Beside the place CMDQ_CONS has what the last error was.
    fn consumed(&self) -> Outcome {
        let place = || read32(self.base + CMDQ_CONS) & PLACES;
        let in_time = wait_until(MS, || place() == self.next);
        let (expected, seen) = (self.next, place());
        ensure!(
            in_time,
            "SMMU_CMDQ_CONS: expected {expected:#x}, seen {seen:#x}"
        );
        Ok(())
    }

    fn command_at(&self, place: u32) -> u64 {
        self.commands + 16 * u64::from(place & ((1 << QUEUE_BITS) - 1))
    }

    fn publish(&mut self, commands: u32) {
        // SAFETY: a barrier: commands are in memory before they are told of.
        unsafe { core::arch::asm!("dsb sy", options(nostack, preserves_flags)) };
        self.next = (self.next + commands) & PLACES;
        write32(self.base + CMDQ_PROD, self.next);
    }
}

/// Whether there is stage 2 in it, as far as it says.
pub fn has_stage_2(base: u64) -> bool {
    read32(base + IDR0) & S2P != 0
}

/// Whether one that nobody has set up lets everything through.
pub fn is_open(base: u64) -> bool {
    read32(base + CR0ACK) & 1 == 0 && read32(base + GBPA) & ABORT == 0
}

fn write_pair(at: u64, words: [u64; 2]) {
    for (n, word) in (0..).zip(words) {
        write64(at + 8 * n, word);
    }
}

fn acknowledged(base: u64, name: &str, register: u64, expected: u32) -> Outcome {
    let mut seen = 0;
    let in_time = wait_until(MS, || {
        seen = read32(base + register);
        seen == expected
    });
    ensure!(in_time, "{name}: expected {expected:#x}, seen {seen:#x}");
    Ok(())
}
