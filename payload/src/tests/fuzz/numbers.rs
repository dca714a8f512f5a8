// SPDX-License-Identifier: Apache-2.0
//! Random numbers, with the edges of memory more often than others.

use super::field::Field;
use crate::cpu::Cpu;
use crate::pattern;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Random numbers that depend on the seed and the CPU alone.
pub struct Numbers<'a> {
    /// Where they have got to.
    pub state: &'a AtomicU64,
    /// The machine that they are for.
    pub field: &'a Field,
}

impl Numbers<'_> {
    /// Any number.
    pub fn any(&self) -> u64 {
        let state = self.state.load(Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.store(state, Relaxed);
        pattern::mix(state)
    }

    /// One below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.any() % bound
    }

    /// One of a list; `None` if it is empty.
    pub fn of<T: Copy>(&self, list: &[T]) -> Option<T> {
        list.get(self.below(list.len() as u64) as usize).copied()
    }

    fn edge(&self) -> u64 {
        self.of(&self.field.edges).unwrap_or(0)
    }

    /// An argument: an edge, near one, a CPU, a small number, or anything.
    pub fn argument(&self) -> u64 {
        match self.below(8) {
            0..3 => self.edge(),
            3 => self.edge().wrapping_add(self.below(64)).wrapping_sub(32),
            4 => self.cpu().mpidr(),
            5 => self.below(8),
            6 => self.any() & 0xffff_ffff,
            _ => self.any(),
        }
    }

    /// An address in the monitor's memory, often at its edges, that must not be read.
    pub fn in_monitor(&self) -> u64 {
        let (start, end) = self.field.monitor;
        let address = match self.below(8) {
            0 => start,
            1 => end - 8,
            2 => (start + self.below(0x4_0000)) & !7,
            _ => (start + self.below(end - start)) & !7,
        };
        let (log, behind) = self.field.log;
        match (log..behind).contains(&address) {
            true => behind,
            false => address,
        }
    }

    /// One of the CPUs.
    pub fn cpu(&self) -> &'static Cpu {
        let cpus = &self.field.cpus;
        self.of_cpus().unwrap_or(cpus.boot)
    }

    fn of_cpus(&self) -> Option<&'static Cpu> {
        let all = self.field.cpus.all;
        all.get(self.below(all.len() as u64) as usize)
    }
}
