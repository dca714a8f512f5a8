// SPDX-License-Identifier: Apache-2.0
//! What all CPUs know of the machine, and where its edges are.

use crate::arena::{Arena, PAGE, SCRATCH_PAGES};
use crate::context::Context;
use crate::cpu::Cpu;
use crate::cpus::Cpus;
use crate::image;
use crate::outcome::{Outcome, fail};

/// What all CPUs know of the machine.
pub struct Field {
    /// The CPUs.
    pub cpus: Cpus,
    /// How often each CPU does something.
    pub calls: u64,
    /// What their random numbers begin with.
    pub seed: u64,
    /// The monitor's first byte, and the first behind it.
    pub monitor: (u64, u64),
    /// What of it may be read: the first byte, and the first behind it.
    pub log: (u64, u64),
    /// Physical address of the first byte of RAM.
    pub ram: u64,
    /// Physical address of the console's registers.
    pub uart: u64,
    /// Addresses at every edge.
    pub edges: [u64; 32],
    /// Physical address of the running image.
    pub image: u64,
    /// Physical address of its device tree.
    pub tree: u64,
    arena: Arena,
}

impl Field {
    /// Looks up what the machine has.
    pub fn new(context: &Context, seed: u64) -> Outcome<Self> {
        let (Some((monitor, size)), Some((ram, ram_size))) = (
            context.machine.monitor(),
            context.machine.ram_at(context.arena.0),
        ) else {
            fail!("expected the monitor and the arena in the device tree")
        };
        let (end, ram_end) = (monitor + size, ram + ram_size);
        let (log, log_size) = context.machine.log.unwrap_or_default();
        let uart = context.machine.uart;
        let gic = context
            .machine
            .gic
            .as_ref()
            .map_or(0, |gic| gic.distributor);
        Ok(Self {
            cpus: context.cpus,
            calls: context.options.calls,
            seed,
            monitor: (monitor, end),
            log: (log, log + log_size),
            ram,
            uart,
            edges: [
                0,
                1,
                4,
                u64::MAX,
                u64::MAX - 3,
                u64::MAX - 7,
                !(PAGE - 1),
                1 << 31,
                1 << 32,
                (1 << 32) - 1,
                1 << 40,
                (1 << 40) - 8,
                1 << 47,
                1 << 48,
                1 << 63,
                monitor,
                monitor + 1,
                monitor - 1,
                monitor - 4,
                monitor - 8,
                monitor - PAGE,
                monitor + PAGE,
                monitor + size / 2,
                end - PAGE,
                end - 8,
                end - 1,
                end,
                ram,
                ram - 1,
                ram_end - 1,
                uart,
                gic,
            ],
            image: image::image().0,
            tree: context.machine.fdt.as_ptr() as u64,
            arena: context.arena,
        })
    }

    /// The n-th page of scratch memory, of eight, that is this CPU's own.
    pub fn page(&self, this: &Cpu, n: u64) -> u64 {
        self.arena
            .scratch(SCRATCH_PAGES - 1 - (8 * this.place() as u64 + n))
    }
}
