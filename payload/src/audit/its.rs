// SPDX-License-Identifier: Apache-2.0
//! An interrupt translation service, mapped and firing (Arm IHI 0069, 5.3 and 12.19).

use super::interrupts::LPI_PRIORITY;
use super::sheet::{Index, Page};
use crate::arena::{Arena, GIC_SIZE};
use crate::cpu::{Cpu, MAX_CPUS};
use crate::mmio::{read32, read64, write32, write64};
use crate::outcome::{Outcome, ensure};
use crate::time;
use baton_abi::steps;
use baton_sysreg::gic::gits::{
    BASER, BASERS, CBASER, CREADR, CTLR, CTLR_ENABLED, CTLR_QUIESCENT, CWRITER, TYPER, VALID,
};
use core::sync::atomic::Ordering::Relaxed;

/// Inner shareable, write-back: of tables that the GIC reads.
const CACHED: u64 = 7 << 59 | 1 << 10;
/// The same in GICR_PROPBASER and GICR_PENDBASER.
const LPI_CACHED: u64 = 7 << 7 | 1 << 10;
/// Bits of an LPI's number: 8192 LPIs.
const ID_BITS: u64 = 14;
const FIRST_LPI: u64 = 8192;
const BLOCK: u64 = 64 * 1024;

/// The device whose events these are: one event for each CPU.
const DEVICE: u64 = 3;
/// Bits of an event's number: up to [`MAX_CPUS`].
const EVENT_BITS: u64 = MAX_CPUS.ilog2() as u64;

/// Adds what is in the ITS.
pub fn audit(page: &mut Page, its: u64, place: usize) {
    let mut add = |name, index, expected, mask, found| {
        page.add((steps::ITS, name, index), place, expected, mask, found);
    };
    // Disabled, and nothing under way.
    let state = CTLR_ENABLED | CTLR_QUIESCENT;
    let ctlr = read32(its + CTLR);
    add(
        "GITS_CTLR",
        Index::None,
        CTLR_QUIESCENT.into(),
        state.into(),
        ctlr.into(),
    );
    add("GITS_CBASER", Index::None, 0, VALID, read64(its + CBASER));
    add("GITS_CWRITER", Index::None, 0, !0, read64(its + CWRITER));
    add("GITS_CREADR", Index::None, 0, !0, read64(its + CREADR));
    for n in 0..BASERS {
        let table = read64(its + BASER + 8 * n);
        // Type 0: no table.
        if table >> 56 & 7 != 0 {
            add("GITS_BASER<n>", Index::At(n as u16), 0, VALID, table);
        }
    }
}

/// An ITS with a queue and tables in the arena.
pub struct Its {
    base: u64,
    queue: u64,
    next: u64,
}

impl Its {
    /// The LPI of the CPU at a place.
    pub fn lpi(place: usize) -> u64 {
        FIRST_LPI + place as u64
    }

    /// Sets it up, LPIs on every redistributor, and an event for each CPU.
    ///
    /// Memory: a block of 64 KiB for each of properties, queue, events, then the ITS's own tables,
    /// and from the 16th on a pending table for each CPU.
    pub fn set_up(base: u64, arena: Arena, cpus: &'static [Cpu]) -> Outcome<Self> {
        let memory = arena.gic();
        // SAFETY: the arena keeps it for this.
        unsafe { core::ptr::write_bytes(memory as *mut u8, 0, GIC_SIZE as usize) };
        let properties = memory;
        // SAFETY: the property table has a byte for each LPI, and lies in its block.
        unsafe {
            let size = (1 << ID_BITS) - FIRST_LPI as usize;
            core::ptr::write_bytes(properties as *mut u8, LPI_PRIORITY | 1, size);
        }
        crate::hints::send_event();
        for cpu in cpus {
            let redistributor = cpu.redistributor.load(Relaxed);
            let pending = memory + (16 + cpu.place() as u64) * BLOCK;
            write64(
                redistributor + 0x70,
                properties | LPI_CACHED | (ID_BITS - 1),
            );
            write64(redistributor + 0x78, pending | LPI_CACHED | 1 << 62);
            write32(redistributor, 1);
        }
        let mut its = Self {
            base,
            queue: memory + BLOCK,
            next: 0,
        };
        let mut table = memory + 3 * BLOCK;
        for n in 0..BASERS {
            let at = base + BASER + 8 * n;
            let kind = read64(at) >> 56 & 7;
            if kind != 0 {
                // One page of 64 KiB, flat.
                write64(at, VALID | CACHED | table | 2 << 8);
                table += BLOCK;
            }
        }
        // 16 pages of 4 KiB.
        write64(base + CBASER, VALID | CACHED | its.queue | 15);
        write64(base + CWRITER, 0);
        write32(base + CTLR, CTLR_ENABLED);

        let events = memory + 2 * BLOCK;
        its.push([0x08 | DEVICE << 32, EVENT_BITS - 1, VALID | events])?;
        for cpu in cpus {
            let place = cpu.place() as u64;
            let target = its.target(cpu);
            its.push([0x09, 0, VALID | target | place])?;
            its.push([
                0x0a | DEVICE << 32,
                Self::lpi(cpu.place()) << 32 | place,
                place,
            ])?;
            its.push([0x05, 0, target])?;
        }
        Ok(its)
    }

    /// RDbase of a redistributor: its address or its number, as GITS_TYPER.PTA says.
    fn target(&self, cpu: &Cpu) -> u64 {
        let redistributor = cpu.redistributor.load(Relaxed);
        if read64(self.base + TYPER) >> 19 & 1 != 0 {
            redistributor
        } else {
            (read64(redistributor + 8) >> 8 & 0xffff) << 16
        }
    }

    /// Makes the event of a CPU happen.
    pub fn fire(&mut self, cpu: &Cpu) -> Outcome {
        self.write([0x03 | DEVICE << 32, cpu.place() as u64, 0]);
        self.sync(cpu, 1)
    }

    /// Has the ITS finish what it does for a CPU, `times` times in one batch.
    pub fn sync(&mut self, cpu: &Cpu, times: usize) -> Outcome {
        let target = self.target(cpu);
        for _ in 0..times {
            self.write([0x05, 0, target]);
        }
        self.pass()
    }

    /// Passes one command.
    fn push(&mut self, words: [u64; 3]) -> Outcome {
        self.write(words);
        self.pass()
    }

    /// Writes a command behind those in the queue.
    fn write(&mut self, words: [u64; 3]) {
        let command = self.queue + self.next;
        for (n, word) in (0..).zip(words) {
            // SAFETY: the queue is the arena's, and `next` stays inside of it.
            unsafe { ((command + 8 * n) as *mut u64).write_volatile(word) };
        }
        self.next = (self.next + 32) % BLOCK;
    }

    /// Passes the commands that were written as one batch, and waits until the ITS has taken them.
    fn pass(&self) -> Outcome {
        crate::hints::send_event();
        write64(self.base + CWRITER, self.next);
        let mut seen = 0;
        let taken = time::wait_until(1000, || {
            seen = read64(self.base + CREADR);
            seen == self.next
        });
        ensure!(
            taken,
            "GITS_CREADR: expected {:#x}, seen {seen:#x}",
            self.next
        );
        Ok(())
    }
}
