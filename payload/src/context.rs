// SPDX-License-Identifier: Apache-2.0
//! What a generation knows when its test begins.

use crate::arena::Arena;
use crate::cpus::Cpus;
use crate::handover::Handover;
use crate::machine::Machine;
use crate::options::Options;

/// What a test gets.
pub struct Context<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// The command line.
    pub options: &'a Options,
    /// The CPUs.
    pub cpus: Cpus,
    /// The arena.
    pub arena: Arena,
    /// What the former generation left.
    pub handover: Handover,
    /// This generation.
    pub generation: u64,
}
