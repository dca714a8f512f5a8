// SPDX-License-Identifier: Apache-2.0
//! Stage 2, and the generations of kernels that live behind it.
//!
//! All of physical memory but the monitor's own, and registers by which CPUs can be halted, is mapped at its own
//! address. What lies below the root is the same for every generation; a generation has a root and a VMID of its own, so
//! that emptying that root takes everything from it.

mod roots;
mod shared;

use crate::arch::{barrier, tlb};
use aarch64_paging::MapError;
use alloc::vec::Vec;
use baton_core::memory::addresses::GIB;
use baton_core::memory::geometry::{Geometry, TooFewBits};
use baton_core::memory::region::{Region, RegionSet};
use baton_core::smmu::entry::Stage2;
use baton_core::sync::Lock;
use baton_sysreg::{read_sysreg, write_sysreg};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use roots::Roots;
use shared::{MAPPED_AT_BOOT, Shared};
use thiserror::Error;

/// How many roots there are: as many generations can have CPUs left behind in them, less one.
const ROOTS: usize = 1 << ROOT_BITS;
const ROOT_BITS: u32 = 4;
/// Marks a root that no generation has had yet.
const NEVER_HAD: u64 = u64::MAX;
/// The VMID of no generation. It may have translations from before the monitor.
const NO_VMID: u64 = 0;
/// The VMID of [`Generations::looking`].
const LOOKING_VMID: u64 = ROOTS as u64 + 1;
/// The VMID of devices' translations.
const DEVICES_VMID: u16 = ROOTS as u16 + 2;

/// No root is free for a new generation: CPUs were left behind in all the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("all {0} stage 2 roots have CPUs left behind in them")]
pub struct NoRoot(usize);

/// The stage 2 tables of all generations.
pub struct Generations {
    shared: Lock<Shared>,
    monitor: Region,
    geometry: Geometry,
    /// Pages of registers that the guest does not get.
    withheld: RegionSet,
    /// The GiBs beyond [`MAPPED_AT_BOOT`] with such pages, or with some that may only be read: they are mapped
    /// for ever.
    special: Vec<u64>,
    roots: Roots,
    /// What a CPU has that is of no generation.
    empty: Roots,
    /// What a CPU has in [`Generations::looking`]; empty otherwise.
    looking: Roots,
    /// What devices have behind an SMMU with a fence, if there are any: one for all generations, empty between them.
    devices: Roots,
    /// How many CPUs are left behind in each root: it is not filled again before they all came.
    left_behind: [AtomicU32; ROOTS],
    /// The number of the generation that had each root last, or [`NEVER_HAD`].
    numbers: [AtomicU64; ROOTS],
    /// The number of the current generation, and its root in the low bits: one word, so that who
    /// reads the number has the root that belongs to it.
    current: AtomicU64,
}

impl Generations {
    /// Maps everything but `monitor` and the pages that are `withheld`: what is `guarded`, for reading alone, and
    /// `devices`, never to be executed. No generation has begun yet.
    ///
    /// # Errors
    ///
    /// [`MapError`] if `ram` lies beyond what `geometry` has.
    pub fn new(
        geometry: Geometry,
        monitor: Region,
        ram: &RegionSet,
        devices: &RegionSet,
        guarded: impl Iterator<Item = Region>,
        withheld: RegionSet,
    ) -> Result<Self, MapError> {
        // A guest cannot access registers beyond its last address.
        let guarded: Vec<Region> = guarded
            .filter(|page| page.end() <= geometry.end())
            .collect();
        let mut shared = Shared::new(geometry, monitor, devices);
        let top = shared.map_at_boot(ram, &guarded, &withheld)?;
        let gibs = |page: &Region| (page.start() & !(GIB - 1)..page.end()).step_by(GIB as usize);
        let special = guarded.iter().chain(&withheld).flat_map(gibs);
        let mut special: Vec<u64> = special.filter(|&gib| gib >= top).collect();
        special.dedup();
        Ok(Self {
            shared: Lock::new(shared),
            monitor,
            geometry,
            withheld,
            special,
            roots: Roots::new(&geometry, ROOTS),
            empty: Roots::new(&geometry, 1),
            looking: Roots::new(&geometry, 1),
            devices: Roots::new(&geometry, 1),
            left_behind: [const { AtomicU32::new(0) }; ROOTS],
            numbers: [const { AtomicU64::new(NEVER_HAD) }; ROOTS],
            current: AtomicU64::new(0),
        })
    }

    /// Returns how many GiBs with memory of `ram` in them there are, and how many of them are mapped by
    /// smaller blocks than that.
    pub fn gibs(&self, ram: &RegionSet) -> (usize, usize) {
        self.shared.lock().gibs(ram)
    }

    /// Returns how stage 2 is walked.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Returns whether the CPU that runs this can run a guest.
    ///
    /// # Errors
    ///
    /// [`TooFewBits`] if it cannot walk stage 2.
    pub fn fit_this_cpu(&self) -> Result<(), TooFewBits> {
        // SAFETY: It is an ID register.
        self.geometry
            .fits(unsafe { read_sysreg!(ID_AA64MMFR0_EL1) })
    }

    /// Begins the generation `number`, and returns once its memory can be walked.
    ///
    /// # Errors
    ///
    /// [`NoRoot`] if there is no root page left; the current generation stays as it is.
    pub fn begin(&self, number: u64) -> Result<(), NoRoot> {
        let next = self.free_root()?;
        let mut shared = self.shared.lock();
        if shared.prepared.take() != Some(next) {
            fill(&self.roots, next, &shared);
        }
        self.open(&mut shared, next, number);
        Ok(())
    }

    /// Has the current generation, which has ended, go on as `number`: with its root and its VMID, which no
    /// CPU has to be told of.
    pub fn resume(&self, number: u64) {
        let (_, root) = self.current();
        let mut shared = self.shared.lock();
        fill(&self.roots, root, &shared);
        self.open(&mut shared, root, number);
    }

    /// Makes `root`, which is filled, that of the current generation, `number`.
    fn open(&self, shared: &mut Shared, root: usize, number: u64) {
        shared.open = true;
        self.fill_devices(shared);
        self.numbers[root].store(number, Ordering::Relaxed);
        self.current
            .store(number << ROOT_BITS | root as u64, Ordering::Release);
    }

    /// Runs `look` on the calling CPU, while its generation has ended, with stage 2 as that had it: for
    /// address translations of the guest's, as nothing of it runs.
    pub fn looking<T>(&self, look: impl FnOnce() -> T) -> T {
        let (number, _) = self.current();
        fill(&self.looking, 0, &self.shared.lock());
        self.select(LOOKING_VMID, self.looking.address(0));
        let result = look();
        // Nothing of it stays: what is walked next may be another generation's.
        self.looking.fill(0, |_| 0);
        tlb::invalidate_current_vmid();
        self.enter(number);
        result
    }

    /// Fills the root of the next generation ahead, if there is one; nobody walks it before that
    /// [begins](Generations::begin). To be called while no generation runs.
    pub fn prepare(&self) {
        if let Ok(next) = self.free_root() {
            let mut shared = self.shared.lock();
            fill(&self.roots, next, &shared);
            shared.prepared = Some(next);
        }
    }

    /// Returns the root that the next generation gets.
    fn free_root(&self) -> Result<usize, NoRoot> {
        let (_, last) = self.current();
        (1..=ROOTS)
            .map(|step| (last + step) % ROOTS)
            .find(|&root| self.left_behind[root].load(Ordering::Acquire) == 0)
            .ok_or(NoRoot(ROOTS))
    }

    /// Ends the current generation: when this returns, no CPU that belongs to it can fetch, load or
    /// store anything any more; what it has yet to fetch, it traps on to EL2.
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
        self.roots.empty(self.current().1);
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
    /// It may end at any time after: then the CPU reaches no memory.
    pub fn enter(&self, number: u64) -> bool {
        let (current, index) = self.current();
        if current != number {
            return false;
        }
        self.select(index as u64 + 1, self.roots.address(index));
        true
    }

    /// Makes this CPU one of no generation: whatever it walks, ahead of the guest's instructions too, it
    /// finds nothing. To be called before `HCR_EL2.VM` is set.
    pub fn enter_none(&self) {
        self.select(NO_VMID, self.empty.address(0));
    }

    fn select(&self, vmid: u64, root: u64) {
        // SAFETY: These decide what the guest sees, and nothing of what the monitor sees.
        unsafe {
            write_sysreg!(VTCR_EL2, self.geometry.vtcr());
            write_sysreg!(VTTBR_EL2, vmid << 48 | root);
        }
        barrier::isb();
    }

    fn current(&self) -> (u64, usize) {
        let word = self.current.load(Ordering::Acquire);
        (word >> ROOT_BITS, word as usize % ROOTS)
    }

    /// Maps the GiB around the intermediate physical address `ipa`, unless it is the monitor's or withheld,
    /// beyond what there can be, or one too many. Returns whether the access that faulted can be
    /// tried again: what is mapped was not while the generation was stopped.
    pub fn map_on_demand(&self, ipa: u64) -> bool {
        if ipa >= self.geometry.end() || self.monitor.contains(ipa) || self.withholds(ipa) {
            return false;
        }
        if ipa < MAPPED_AT_BOOT {
            return true;
        }
        let start = ipa & !(GIB - 1);
        let mut shared = self.shared.lock();
        // An ended generation traps again, and is taken then; what is special stays as it is.
        if !shared.open || self.special.contains(&start) {
            return true;
        }
        if !shared.map_on_demand(start) {
            return false;
        }
        fill(&self.roots, self.current().1, &shared);
        self.fill_devices(&shared);
        true
    }

    /// Gives devices what the current generation has.
    fn fill_devices(&self, shared: &Shared) {
        if shared.has_devices {
            fill(&self.devices, 0, shared);
        }
    }

    /// Gives devices what the current generation has, and each one after it; returns how they walk that.
    pub fn open_to_devices(&self) -> Stage2 {
        let mut shared = self.shared.lock();
        shared.has_devices = true;
        if shared.open {
            self.fill_devices(&shared);
        }
        Stage2 {
            vmid: DEVICES_VMID,
            vtcr: self.geometry.vtcr(),
            root: self.devices.address(0),
        }
    }

    /// Takes all memory from devices behind SMMUs, which are to forget their translations after.
    pub fn end_devices(&self) {
        if self.shared.lock().has_devices {
            self.devices.empty(0);
            barrier::dsb_sy();
        }
    }

    /// Lets the guest read a guarded page, or takes that from it, in every generation.
    pub fn let_read(&self, page: &Region, readable: bool) {
        let changed = self.shared.lock().let_read(page, readable);
        if let Err(error) = changed {
            log::error!("cannot map {page}: {error}");
        }
        if readable {
            barrier::dsb_ishst();
            barrier::isb();
        } else {
            tlb::invalidate_current_vmid();
        }
    }

    /// Returns whether there are registers at the physical `address` that the guest does not get.
    pub fn withholds(&self, address: u64) -> bool {
        self.withheld.enclosing(address).is_some()
    }

    /// Returns whether the guest may execute what is at the physical `address`.
    pub fn may_execute(&self, address: u64) -> bool {
        self.shared.lock().may_execute(address)
    }
}

/// Fills `root` of `roots`, and returns once it can be walked.
fn fill(roots: &Roots, root: usize, shared: &Shared) {
    // A walk that finds an entry finds the table that it points to filled.
    barrier::dsb_ishst();
    roots.fill(root, |index| shared.root_entry(index));
    barrier::dsb_ishst();
    barrier::isb();
}

#[cfg(test)]
mod tests;
