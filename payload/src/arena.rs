// SPDX-License-Identifier: Apache-2.0
//! Where things are in RAM: an arena that all generations share.
//!
//! Generation 0 runs where the loader put it and picks the arena; the next ones run in its two
//! image slots in turn, so that the second reboot of a chain overwrites what was running before.

use crate::cpu::{MAX_CPUS, STACK_SIZE};
use crate::image;
use crate::machine::Machine;
use crate::mmu;
use crate::outcome::{Outcome, ensure, fail};
use baton_abi::report_size;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Size of a page of an indirection list in bytes.
pub const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;

/// Room for an image, in bytes.
pub const SLOT: u64 = 2 * MIB;
/// Room for a device tree, in bytes.
pub const TREE: u64 = 2 * MIB;
/// Size of the pattern that no list mentions, in bytes.
pub const KEPT: u64 = MIB;
const MOVED: u64 = 16 * MIB;
const STACKS: u64 = MAX_CPUS as u64 * STACK_SIZE + STACK_SIZE;
/// Pages of scratch memory: a power of two, see [`Arena::scratch`].
pub const SCRATCH_PAGES: u64 = 8192;

const TREES_AT: u64 = 2 * SLOT;
const KEPT_AT: u64 = TREES_AT + 2 * TREE;
const SENTINEL_AT: u64 = KEPT_AT + KEPT;
/// Size of what generation 0 writes once and for all, in bytes.
pub const SENTINEL: u64 = MIB;
const MOVED_AT: u64 = SENTINEL_AT + SENTINEL;
const WITNESS_AT: u64 = MOVED_AT + MOVED;
const STACKS_AT: u64 = WITNESS_AT + MAX_CPUS as u64 * PAGE;
const REPORT_AT: u64 = STACKS_AT + STACKS;
/// Room for a report, in bytes.
pub const REPORT_SIZE: u64 = (report_size(MAX_CPUS) as u64).next_multiple_of(64 * 1024);
const GIC_AT: u64 = (REPORT_AT + REPORT_SIZE).next_multiple_of(64 * 1024);
/// Room for the tables of an interrupt controller, in bytes: one of 64 KiB for each CPU, and others.
pub const GIC_SIZE: u64 = (MAX_CPUS as u64 + 16) * 64 * 1024;
const SCRATCH_AT: u64 = (GIC_AT + GIC_SIZE).next_multiple_of(PAGE);
const SIZE: u64 = (SCRATCH_AT + SCRATCH_PAGES * PAGE).next_multiple_of(2 * MIB);

/// The arena.
#[derive(Clone, Copy)]
pub struct Arena(pub u64);

static RUNNING: AtomicU64 = AtomicU64::new(0);

impl Arena {
    /// Makes this the one that this generation has.
    pub fn make_running(self) {
        RUNNING.store(self.0, Relaxed);
    }

    /// The one that this generation has.
    pub fn of_running() -> Self {
        Self(RUNNING.load(Relaxed))
    }

    /// Picks a place: the highest in the image's region of RAM that is free and mapped, 2 MiB aligned.
    pub fn pick(machine: &Machine) -> Outcome<Self> {
        let (image, _) = image::image();
        let Some((base, size)) = machine.ram_at(image) else {
            fail!(
                "expected the image at {image:#x} in RAM, seen {:#x?}",
                machine.ram.first()
            )
        };
        let end = (base + size).min(mmu::END);
        let mut start = end.saturating_sub(SIZE) & !(2 * MIB - 1);
        while start >= base {
            if !is_taken(machine, start, SIZE) {
                return Ok(Self(start));
            }
            start = start.saturating_sub(2 * MIB);
            if start == 0 {
                break;
            }
        }
        fail!(
            "expected {} MiB of free RAM, seen {} MiB in all",
            SIZE / MIB,
            size / MIB
        )
    }

    /// The start of `size` bytes of RAM right below that nobody uses.
    pub fn below(&self, machine: &Machine, size: u64) -> Outcome<u64> {
        let base = machine.ram_at(self.0).map_or(self.0, |(base, _)| base);
        let start = self.0.saturating_sub(size);
        ensure!(
            start >= base && !is_taken(machine, start, size),
            "expected {} MiB of free RAM below {:#x}, seen less",
            size / MIB,
            self.0
        );
        Ok(start)
    }

    /// Where the image of a generation goes (not of generation 0).
    pub fn slot(&self, generation: u64) -> u64 {
        self.0 + (generation & 1) * SLOT
    }

    /// Where the device tree of a generation goes.
    pub fn tree(&self, generation: u64) -> u64 {
        self.0 + TREES_AT + (generation & 1) * TREE
    }

    /// The pattern that stays where it is.
    pub fn kept(&self) -> u64 {
        self.0 + KEPT_AT
    }

    /// What generation 0 writes, and all others find.
    pub fn sentinel(&self) -> u64 {
        self.0 + SENTINEL_AT
    }

    /// A page of a CPU, by its place in the device tree, that no list mentions.
    pub fn witness(&self, place: usize) -> u64 {
        self.0 + WITNESS_AT + place as u64 * PAGE
    }

    /// Where the pages go that each reboot moves.
    pub fn moved(&self) -> u64 {
        self.0 + MOVED_AT
    }

    /// The stacks of the secondary CPUs.
    pub fn stacks(&self) -> u64 {
        self.0 + STACKS_AT
    }

    /// Room for a report.
    pub fn report(&self) -> u64 {
        self.0 + REPORT_AT
    }

    /// Room for the tables of an interrupt controller, at a multiple of 64 KiB.
    pub fn gic(&self) -> u64 {
        self.0 + GIC_AT
    }

    /// The n-th page of scratch memory. Neighbours in n are far apart, and out of order.
    pub fn scratch(&self, n: u64) -> u64 {
        const STRIDE: u64 = 2741;
        self.0 + SCRATCH_AT + (n * STRIDE + 17) % SCRATCH_PAGES * PAGE
    }
}

/// Whether the image, its device tree or a reserved range lies in the `size` bytes from `start` on.
fn is_taken(machine: &Machine, start: u64, size: u64) -> bool {
    let meets = |from: u64, to: u64| start < to && from < start + size;
    let (image, image_end) = image::image();
    let tree = machine.fdt.as_ptr() as u64;
    meets(image, image_end)
        || meets(tree, tree + machine.fdt.len() as u64)
        || machine
            .reserved
            .iter()
            .any(|r| meets(r.range.0, r.range.0 + r.range.1))
}
