// SPDX-License-Identifier: Apache-2.0
//! What the boot CPU does while the others copy: all that the next kernel needs, but for what is known at the
//! end alone.

use super::{crash, guest_console};
use crate::arch::barrier;
use crate::machine::Machine;
use crate::memory::heap::HEAP;
use crate::report;

/// Pages that another CPU copies meanwhile, without a tree: the root of stage 2 and the report.
const BUSY_PAGES: u64 = 32;
/// The same for each page of the tree, which is searched several times.
const BUSY_PAGES_A_PAGE: u64 = 64;

/// Returns how many pages less than the others the boot CPU copies, for a tree of so many bytes.
pub fn busy_pages(tree: u64) -> u64 {
    BUSY_PAGES + tree.div_ceil(4096) * BUSY_PAGES_A_PAGE
}

/// Writes the next kernel's device tree to its place, with the report, and fills the root of its stage 2.
///
/// To be called by the boot CPU in phase 3, before it copies its share.
pub fn run(machine: &Machine) {
    let takeover = &machine.takeover;
    machine.generations.prepare();
    // SAFETY: This is the boot CPU, in phase 3.
    let (tree, bytes) = unsafe { takeover.next_tree() };
    let mut tree = tree.filter(|tree| tree.is_whole);
    if let Some(tree) = &mut tree {
        // Paths are put together on the way, and nobody else needs the heap.
        tree.usage = HEAP.open_here(|| guest_console::usage(machine, &tree.bytes));
    }
    report::prepare(machine, tree.as_deref_mut(), bytes);
    crash::await_verified(machine);
    if let Some(tree) = tree {
        // SAFETY: As above.
        unsafe { takeover.write_tree(&machine.ram, tree) };
    }
    takeover.report.set_ready(takeover.rendezvous.generation());
    barrier::sev();
}
