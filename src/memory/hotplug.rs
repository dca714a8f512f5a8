// SPDX-License-Identifier: Apache-2.0
//! EL2's map of hot-plugged memory: block by block, for as long as a kexec is prepared and done.
//!
//! What is plugged in can be taken out again, so that nothing stays mapped when a kexec is over.

use super::stage1::{MemoryKind, MmuConfig};
use crate::arch::{barrier, tlb};
use aarch64_paging::descriptor::El23Attributes;
use alloc::vec::Vec;
use baton_core::memory::hotplug::BLOCK;
use baton_core::memory::region::Region;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The level whose entries map blocks of [`BLOCK`] bytes.
const LEAF: usize = 2;
const ENTRIES: usize = 512;
/// The address in a descriptor, bits 47:12.
const ADDRESS: u64 = 0xffff_ffff_f000;
/// A descriptor that leads to a table.
const TABLE: u64 = 3;

/// Why a block is not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotMapped {
    /// EL2's map does not reach as far.
    Beyond,
    /// Something else is mapped there.
    Taken,
    /// There is no heap for the tables.
    NoHeap,
}

#[repr(C, align(4096))]
struct Table([AtomicU64; ENTRIES]);

impl Table {
    /// Returns the entry for `address` of a table of `level`.
    fn entry(&self, level: usize, address: u64) -> &AtomicU64 {
        &self.0[(address >> shift(level)) as usize % ENTRIES]
    }
}

/// The blocks that are mapped.
pub struct HotPlugged {
    /// EL2's root and its level; none where there is no map.
    root: Option<(NonNull<Table>, usize)>,
    /// The entries that were written, to be emptied.
    written: Vec<NonNull<AtomicU64>>,
    /// The tables that were added.
    tables: Vec<Vec<Table>>,
}

// SAFETY: It points to tables alone, which are in the monitor's memory for ever, or its own; their entries
// are atomic.
unsafe impl Send for HotPlugged {}
// SAFETY: As above.
unsafe impl Sync for HotPlugged {}

impl HotPlugged {
    /// Returns no blocks, for the map that the MMU has by `mmu`.
    ///
    /// # Safety
    ///
    /// The tables of that map are at their own addresses, and nobody else changes it.
    pub unsafe fn new(mmu: &MmuConfig) -> Self {
        Self {
            root: NonNull::new(mmu.ttbr0 as *mut Table).map(|root| (root, mmu.root_level())),
            written: Vec::new(),
            tables: Vec::new(),
        }
    }

    /// Maps `block`, which begins at a multiple of [`BLOCK`], if it is not mapped yet.
    ///
    /// # Errors
    ///
    /// [`NotMapped`]; it may be asked for again.
    ///
    /// # Safety
    ///
    /// A page of it is memory that is the guest's, and none of it is a device's or the monitor's.
    pub unsafe fn map(&mut self, block: u64) -> Result<(), NotMapped> {
        let leaf = block | MemoryKind::Data.attributes().bits() as u64;
        let entry = self.leaf_for(block)?;
        // SAFETY: It is an entry of a table.
        match unsafe { entry.as_ref() }.load(Relaxed) {
            0 => self.write(entry, leaf),
            now if now == leaf => Ok(()),
            _ => Err(NotMapped::Taken),
        }
    }

    /// Returns whether all of `region`, which is free for hot-plugged memory, is mapped.
    pub fn encloses(&self, region: &Region) -> bool {
        let blocks = region.align_outward(BLOCK);
        !self.written.is_empty()
            && blocks.is_some_and(|blocks| {
                let mut blocks = (blocks.start()..blocks.end()).step_by(BLOCK as usize);
                blocks.all(|block| self.is_mapped(block))
            })
    }

    /// Returns how many blocks are mapped.
    pub fn blocks(&self) -> usize {
        self.written.len() - self.tables.len()
    }

    /// Takes all blocks out of the map. To be called when no CPU reaches for them any more.
    pub fn clear(&mut self) {
        if self.written.is_empty() {
            return;
        }
        for entry in self.written.drain(..) {
            // SAFETY: It is an entry of a table that is there still.
            unsafe { entry.as_ref() }.store(0, Relaxed);
        }
        tlb::invalidate_el2();
        self.written = Vec::new();
        self.tables = Vec::new();
    }

    fn is_mapped(&self, block: u64) -> bool {
        let Some((mut table, first)) = self.root else {
            return false;
        };
        for level in first..LEAF {
            // SAFETY: The root, and what an entry of a table leads to, is a table.
            match next(unsafe { table.as_ref() }.entry(level, block)) {
                Some(next) => table = next,
                None => return false,
            }
        }
        // SAFETY: As above.
        let leaf = unsafe { table.as_ref() }.entry(LEAF, block).load(Relaxed);
        leaf & TABLE == El23Attributes::VALID.bits() as u64
    }

    /// Returns the entry that maps `block`, with tables that lead there.
    fn leaf_for(&mut self, block: u64) -> Result<NonNull<AtomicU64>, NotMapped> {
        let (mut table, first) = self.root.ok_or(NotMapped::Beyond)?;
        if block >> shift(first) >= ENTRIES as u64 {
            return Err(NotMapped::Beyond);
        }
        for level in first..LEAF {
            // SAFETY: The root, and what an entry of a table leads to, is a table.
            let entry = unsafe { table.as_ref() }.entry(level, block);
            table = match next(entry) {
                Some(next) => next,
                None if entry.load(Relaxed) == 0 => self.add_table(entry.into())?,
                None => return Err(NotMapped::Taken),
            };
        }
        // SAFETY: As above.
        Ok(unsafe { table.as_ref() }.entry(LEAF, block).into())
    }

    /// Has `entry` lead to an empty table.
    fn add_table(&mut self, entry: NonNull<AtomicU64>) -> Result<NonNull<Table>, NotMapped> {
        let mut place = Vec::new();
        place.try_reserve_exact(1).map_err(|_| NotMapped::NoHeap)?;
        place.push(Table([const { AtomicU64::new(0) }; ENTRIES]));
        let table = NonNull::from(&place[0]);
        self.tables.try_reserve(1).map_err(|_| NotMapped::NoHeap)?;
        self.tables.push(place);
        // A walk that finds the entry finds the table empty.
        barrier::dsb_ishst();
        self.write(entry, table.as_ptr() as u64 | TABLE)?;
        Ok(table)
    }

    fn write(&mut self, entry: NonNull<AtomicU64>, value: u64) -> Result<(), NotMapped> {
        self.written.try_reserve(1).map_err(|_| NotMapped::NoHeap)?;
        self.written.push(entry);
        // SAFETY: It is an entry of a table.
        unsafe { entry.as_ref() }.store(value, Relaxed);
        // What was not mapped is in no TLB.
        barrier::dsb_ishst();
        barrier::isb();
        Ok(())
    }
}

/// Returns the table that an entry leads to.
fn next(entry: &AtomicU64) -> Option<NonNull<Table>> {
    let entry = entry.load(Relaxed);
    let leads = entry & TABLE == TABLE;
    NonNull::new((entry & ADDRESS) as *mut Table).filter(|_| leads)
}

/// Bits of an address below those that choose an entry of a table of `level`.
const fn shift(level: usize) -> usize {
    39 - 9 * level
}

#[cfg(test)]
mod tests;
