// SPDX-License-Identifier: Apache-2.0
//! An SMMUv3 (Arm IHI 0070), as a driver sets it up and uses it.

use crate::arena::Arena;
use crate::machine::Machine;
use crate::mmio::{read32, write32, write64};
use crate::outcome::{Outcome, ensure};
use crate::time::wait_until;

/// Registers of the first page, and of the second.
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

/// CR0: translation, event queue, command queue. IRQ_CTRL: errors, events.
const ENABLES: u32 = 1 << 0 | 1 << 2 | 1 << 3;
const INTERRUPTS: u32 = 1 << 0 | 1 << 2;
/// CR1: tables and queues are inner shareable, write-back.
const CACHED: u32 = 0xd75;
/// GBPA.ABORT.
pub const ABORT: u32 = 1 << 20;

/// Streams that have an entry, as a power of two: those of the first bus of PCI. An entry has 64 bytes.
const STREAM_BITS: u64 = 8;
/// An entry of a stream that goes through untranslated, with its own shareability.
const BYPASS: [u64; 2] = [1 | 4 << 1, 1 << 44];
/// Commands, and one that there is none of.
const CFGI_ALL: [u64; 2] = [4, 31];
const SYNC: [u64; 2] = [0x46, 0];
const ILLEGAL: [u64; 2] = [0xff, 0];
/// Commands and events that there is room for, as a power of two.
const QUEUE_BITS: u64 = 4;

/// Memory that it is given: the stream table, and behind that the queues.
const SIZE: u64 = 64 << 10;
const COMMANDS_AT: u64 = 0x8000;
const EVENTS_AT: u64 = 0xc000;
/// How long it may take, in milliseconds.
const MS: u64 = 1000;

/// An SMMU with memory in the arena.
pub struct Smmu {
    base: u64,
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
            commands: memory + COMMANDS_AT,
            next: 0,
        };
        smmu.push(CFGI_ALL);
        smmu.push(SYNC);
        acknowledged(base, "SMMU_CMDQ_CONS", CMDQ_CONS, smmu.next)?;
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

    fn push(&mut self, command: [u64; 2]) {
        write_pair(self.commands + 16 * u64::from(self.next), command);
        // SAFETY: a barrier: the command is in memory before it is told of.
        unsafe { core::arch::asm!("dsb sy", options(nostack, preserves_flags)) };
        self.next += 1;
        write32(self.base + CMDQ_PROD, self.next);
    }
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
