// SPDX-License-Identifier: Apache-2.0
//! Stage 2, and the generations of kernels that live behind it.
//!
//! All of physical memory but the monitor's own is mapped at its own address. What lies below the
//! root is the same for every generation; a generation has a root page and a VMID of its own, so
//! that emptying that one page takes everything from it.

use crate::arch::sysreg::id_field;
use crate::arch::{barrier, tlb};
use aarch64_paging::descriptor::{PhysicalAddress, Stage2Attributes};
use aarch64_paging::idmap::IdTranslation;
use aarch64_paging::paging::{Constraints, MemoryRegion, Stage2};
use aarch64_paging::{MapError, Mapping};
use alloc::boxed::Box;
use alloc::vec::Vec;
use baton_core::memory::region::{Region, RegionSet};
use baton_core::sync::Lock;
use baton_sysreg::{read_sysreg, write_sysreg};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use thiserror::Error;

/// How many roots there are: as many generations can have CPUs left behind in them, less one.
const ROOTS: usize = 1 << ROOT_BITS;
const ROOT_BITS: u32 = 4;
/// Marks a root that no generation has had yet.
const NEVER_HAD: u64 = u64::MAX;
const ENTRIES: usize = 512;
/// The end of what is mapped at boot; beyond it, a block is mapped when the guest first accesses
/// it.
const MAPPED_AT_BOOT: u64 = 1 << 40;
const GIB: u64 = 1 << 30;
/// How many tables a guest's accesses can add, each for 512 GiB. Without a bound it could use up
/// the heap.
const TABLES_ON_DEMAND: usize = 64;
/// Bits of an address below those that choose an entry of a root at level 0.
const ROOT_SHIFT: u32 = 39;

/// `VTCR_EL2` but for PS, SL0 and T0SZ: RES1 bit, table walks inner shareable and write-back.
const VTCR: u64 = 1 << 31 | 3 << 12 | 1 << 10 | 1 << 8;

/// The guest chooses memory types by its stage 1: stage 2 has the weakest, with which any combines
/// to itself.
const PASS_THROUGH: Stage2Attributes = Stage2Attributes::MEMATTR_NORMAL_OUTER_WB
    .union(Stage2Attributes::MEMATTR_NORMAL_INNER_WB)
    .union(Stage2Attributes::S2AP_ACCESS_RW)
    .union(Stage2Attributes::SH_INNER)
    .union(Stage2Attributes::ACCESS_FLAG)
    .union(Stage2Attributes::VALID);

/// Registers that a guest may only read: a store traps to the monitor.
const READ_THROUGH: Stage2Attributes = PASS_THROUGH.difference(Stage2Attributes::S2AP_ACCESS_WO);

/// No root is free for a new generation: CPUs were left behind in all the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("all {0} stage 2 roots have CPUs left behind in them")]
pub struct NoRoot(usize);

#[repr(C, align(4096))]
struct Root {
    entries: [AtomicU64; ENTRIES],
}

impl Root {
    fn new() -> Self {
        Self {
            entries: [const { AtomicU64::new(0) }; ENTRIES],
        }
    }
}

/// What is the same for every generation, and whether the current one may use it.
struct Shared {
    mapping: Mapping<IdTranslation<Stage2Attributes>, Stage2>,
    /// The current generation has not ended.
    open: bool,
    /// Tables that may still be made on demand.
    tables_left: usize,
}

impl Shared {
    /// Returns the entry `index` of the root; 0 if there is none.
    fn root_entry(&self, index: usize) -> u64 {
        if index >= ENTRIES {
            return 0;
        }
        let root = self.mapping.root_address().0 as *const u64;
        // SAFETY: The root table has that many entries, and no one else has this while it is read.
        unsafe { root.add(index).read_volatile() }
    }
}

/// The stage 2 tables of all generations.
pub struct Generations {
    shared: Lock<Shared>,
    monitor: Region,
    /// VTCR_EL2.
    vtcr: u64,
    /// Bits of an intermediate physical address.
    ipa_bits: u32,
    /// The GiBs beyond [`MAPPED_AT_BOOT`] with pages that may only be read: they are mapped for
    /// ever.
    guarded: Vec<u64>,
    roots: Box<[Root; ROOTS]>,
    /// A root that never has entries, for CPUs of no generation.
    nothing: Box<Root>,
    /// How many CPUs are left behind in each root: it is not filled again before they all came.
    left_behind: [AtomicU32; ROOTS],
    /// The number of the generation that had each root last, or [`NEVER_HAD`].
    numbers: [AtomicU64; ROOTS],
    /// The number of the current generation, and its root in the low bits: one word, so that who
    /// reads the number has the root that belongs to it.
    current: AtomicU64,
}

impl Generations {
    /// Maps everything but `monitor`; what is `guarded`, for reading alone. No generation has begun
    /// yet.
    ///
    /// # Errors
    ///
    /// [`MapError`] if `ram` lies beyond what this CPU can address.
    pub fn new(
        monitor: Region,
        ram: &RegionSet,
        guarded: impl Iterator<Item = Region>,
    ) -> Result<Self, MapError> {
        let (root_level, ipa_bits, vtcr) = geometry();
        let mut shared = Mapping::new(IdTranslation::new(), root_level, Stage2);
        let top = (1 << ipa_bits).min(MAPPED_AT_BOOT);
        map_around(&mut shared, &monitor, 0, top)?;
        // A guest cannot access registers beyond its last address.
        let guarded: Vec<Region> = guarded.filter(|page| page.end() <= 1 << ipa_bits).collect();
        // Guarded pages are mapped last: that splits the blocks around them.
        for part in ram.iter().chain(&guarded).filter(|part| part.end() > top) {
            let start = part.start().max(top) & !(GIB - 1);
            map_around(
                &mut shared,
                &monitor,
                start,
                part.end().next_multiple_of(GIB),
            )?;
        }
        for page in &guarded {
            map(&mut shared, page.start(), page.end(), READ_THROUGH)?;
        }
        let gib = |page: &Region| page.start() & !(GIB - 1);
        let mut guarded: Vec<u64> = guarded.iter().map(gib).filter(|&gib| gib >= top).collect();
        guarded.dedup();
        Ok(Self {
            shared: Lock::new(Shared {
                mapping: shared,
                open: false,
                tables_left: TABLES_ON_DEMAND,
            }),
            monitor,
            vtcr,
            ipa_bits,
            guarded,
            roots: Box::new(core::array::from_fn(|_| Root::new())),
            nothing: Box::new(Root::new()),
            left_behind: [const { AtomicU32::new(0) }; ROOTS],
            numbers: [const { AtomicU64::new(NEVER_HAD) }; ROOTS],
            current: AtomicU64::new(0),
        })
    }

    /// Begins the generation `number`, and returns once its memory can be walked.
    ///
    /// # Errors
    ///
    /// [`NoRoot`] if there is no root page left; the current generation stays as it is.
    pub fn begin(&self, number: u64) -> Result<(), NoRoot> {
        let (_, last) = self.current();
        let next = (1..=ROOTS)
            .map(|step| (last + step) % ROOTS)
            .find(|&root| self.left_behind[root].load(Ordering::Acquire) == 0)
            .ok_or(NoRoot(ROOTS))?;
        let mut shared = self.shared.lock();
        self.fill(next, &shared);
        shared.open = true;
        self.numbers[next].store(number, Ordering::Relaxed);
        self.current
            .store(number << ROOT_BITS | next as u64, Ordering::Release);
        Ok(())
    }

    /// Ends the current generation: when this returns, no CPU that belongs to it can fetch, load or
    /// store anything any more; it traps to EL2 instead.
    ///
    /// The calling CPU must be of that generation.
    pub fn end(&self) {
        let mut shared = self.shared.lock();
        shared.open = false;
        self.empty_current();
    }

    /// Ends the current generation without taking the lock; for a monitor that is about to reset
    /// the machine. The calling CPU may be of another generation.
    pub fn stop(&self) {
        self.enter(self.current().0);
        self.empty_current();
    }

    fn empty_current(&self) {
        // A CPU that traps on an emptied entry sees what was stored before: that its kernel is
        // over.
        barrier::dsb_ishst();
        for entry in &self.roots[self.current().1].entries {
            entry.store(0, Ordering::Relaxed);
        }
        tlb::invalidate_current_vmid();
    }

    /// Returns how many roots have no CPU left behind in them, and how many there are.
    pub fn free_roots(&self) -> (usize, usize) {
        let free = |left: &&AtomicU32| left.load(Ordering::Relaxed) == 0;
        (self.left_behind.iter().filter(free).count(), ROOTS)
    }

    /// Keeps the current generation's root empty until all `count` CPUs that are left behind in it
    /// have come ([`Generations::came_from`]).
    pub fn leave_behind(&self, count: usize) {
        self.left_behind[self.current().1].store(count as u32, Ordering::Relaxed);
    }

    /// A CPU that was left behind in the generation `number` has come.
    pub fn came_from(&self, number: u64) {
        let had = |root: &usize| self.numbers[*root].load(Ordering::Relaxed) == number;
        if let Some(root) = (0..ROOTS).find(had) {
            // Release: what it did there is done before the root is filled again.
            self.left_behind[root].fetch_sub(1, Ordering::Release);
        }
    }

    /// Makes this CPU one of the generation `number`; returns false if that is over.
    ///
    /// It may end at any time after: then the CPU traps at its first instruction.
    pub fn enter(&self, number: u64) -> bool {
        let (current, index) = self.current();
        if current != number {
            return false;
        }
        self.walk_from(&self.roots[index], index as u64 + 1);
        true
    }

    /// Makes this CPU one of no generation: nothing is mapped. To be called before stage 2 is turned on: some
    /// CPUs walk the tables of EL1 in speculation, whatever is in `VTTBR_EL2` then, and keep what they find
    /// (`Workaround::EmptyRoot`).
    pub fn enter_none(&self) {
        // VMID 0 may have translations from before the monitor: no generation has it.
        self.walk_from(&self.nothing, 0);
    }

    fn walk_from(&self, root: &Root, vmid: u64) {
        // SAFETY: These decide what the guest sees, and nothing of what the monitor sees.
        unsafe {
            write_sysreg!(VTCR_EL2, self.vtcr);
            write_sysreg!(VTTBR_EL2, vmid << 48 | &raw const *root as u64);
        }
        barrier::isb();
    }

    fn current(&self) -> (u64, usize) {
        let word = self.current.load(Ordering::Acquire);
        (word >> ROOT_BITS, word as usize % ROOTS)
    }

    /// Maps the GiB around the intermediate physical address `ipa`, unless it is the monitor's,
    /// beyond what there can be, or one too many. Returns whether the access that faulted can be
    /// tried again.
    pub fn map_on_demand(&self, ipa: u64) -> bool {
        if ipa >> self.ipa_bits != 0 || self.monitor.contains(ipa) || ipa < MAPPED_AT_BOOT {
            return false;
        }
        let start = ipa & !(GIB - 1);
        let mut shared = self.shared.lock();
        // An ended generation traps again, and is taken then; what is guarded stays as it is.
        if !shared.open || self.guarded.contains(&start) {
            return true;
        }
        // Above `MAPPED_AT_BOOT` the root is at level 0.
        if shared.root_entry((ipa >> ROOT_SHIFT) as usize) == 0 {
            match shared.tables_left.checked_sub(1) {
                Some(left) => shared.tables_left = left,
                None => return false,
            }
        }
        if map_around(&mut shared.mapping, &self.monitor, start, start + GIB).is_err() {
            return false;
        }
        self.fill(self.current().1, &shared);
        true
    }

    fn fill(&self, root: usize, shared: &Shared) {
        // A walk that finds an entry finds the table that it points to filled.
        barrier::dsb_ishst();
        for (index, entry) in self.roots[root].entries.iter().enumerate() {
            entry.store(shared.root_entry(index), Ordering::Relaxed);
        }
        barrier::dsb_ishst();
        barrier::isb();
    }
}

/// Maps `start` to `end` but for the monitor.
fn map_around(
    mapping: &mut Mapping<IdTranslation<Stage2Attributes>, Stage2>,
    monitor: &Region,
    start: u64,
    end: u64,
) -> Result<(), MapError> {
    let below = (start, end.min(monitor.start()));
    let above = (start.max(monitor.end()), end);
    for (start, end) in [below, above] {
        if start < end {
            map(mapping, start, end, PASS_THROUGH)?;
        }
    }
    Ok(())
}

fn map(
    mapping: &mut Mapping<IdTranslation<Stage2Attributes>, Stage2>,
    start: u64,
    end: u64,
    attributes: Stage2Attributes,
) -> Result<(), MapError> {
    mapping.map_range(
        &MemoryRegion::new(start as usize, end as usize),
        PhysicalAddress(start as usize),
        attributes,
        Constraints::NO_CONTIGUOUS_HINT,
    )
}

/// Returns the level of the root, the bits of an intermediate physical address and VTCR_EL2
/// (Arm ARM, VTCR_EL2): the widest input that one root page serves on this CPU.
fn geometry() -> (usize, u32, u64) {
    // SAFETY: ID_AA64MMFR0_EL1 is an ID register.
    let pa_range = id_field(unsafe { read_sysreg!(ID_AA64MMFR0_EL1) }, 0).min(5);
    let pa_bits = [32, 36, 40, 42, 44, 48][pa_range as usize];
    // A walk may start at level 0 only where there are more than 42 bits.
    let (level, start_level, bits) = if pa_bits > 42 {
        (0, 2, pa_bits)
    } else {
        (1, 1, pa_bits.min(39))
    };
    let vtcr = VTCR | pa_range << 16 | start_level << 6 | u64::from(64 - bits);
    (level, bits, vtcr)
}

#[cfg(test)]
mod tests;
