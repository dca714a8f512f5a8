// SPDX-License-Identifier: Apache-2.0
//! What is the same for every generation: the tables below their roots.

use aarch64_paging::descriptor::{PhysicalAddress, Stage2Attributes};
use aarch64_paging::idmap::IdTranslation;
use aarch64_paging::paging::{Constraints, MemoryRegion, Stage2};
use aarch64_paging::{MapError, Mapping};
use baton_core::memory::addresses::{GIB, TABLES_FOR_DEVICES, with_tables};
use baton_core::memory::geometry::Geometry;
use baton_core::memory::region::{Region, RegionSet};

/// The end of what is mapped at boot where a walk begins at level 0; beyond it, a block is mapped when
/// the guest first accesses it.
pub const MAPPED_AT_BOOT: u64 = 1 << 40;
/// How many tables a guest's accesses can add, each for 512 GiB, or for a GiB with devices and others in
/// it. Without a bound it could use up the heap.
pub const TABLES_ON_DEMAND: usize = 64;
const ENTRIES: usize = 512;
/// The level that the mapping's own root has, of 512 GiB an entry.
const TOP_LEVEL: usize = 0;
const TOP_SHIFT: u32 = 39;
/// The address in a descriptor that leads to a table, bits 47:12.
const ADDRESS: u64 = 0xffff_ffff_f000;
/// Bits 1:0 of a descriptor: a block, a table.
const KIND: u64 = 3;
const BLOCK: u64 = 1;
const TABLE: u64 = 3;

/// The guest chooses memory types by its stage 1: stage 2 has the weakest, with which any combines
/// to itself.
const PASS_THROUGH: Stage2Attributes = Stage2Attributes::MEMATTR_NORMAL_OUTER_WB
    .union(Stage2Attributes::MEMATTR_NORMAL_INNER_WB)
    .union(Stage2Attributes::S2AP_ACCESS_RW)
    .union(Stage2Attributes::SH_INNER)
    .union(Stage2Attributes::ACCESS_FLAG)
    .union(Stage2Attributes::VALID);

/// Devices: a fetch from one, ahead of time too, may have it do something.
const NEVER_EXECUTED: Stage2Attributes = PASS_THROUGH.union(Stage2Attributes::XN);

/// Registers that a guest may only read: a store traps to the monitor.
const READ_THROUGH: Stage2Attributes = NEVER_EXECUTED.difference(Stage2Attributes::S2AP_ACCESS_WO);

/// Registers that the guest does not get: any access traps to the monitor.
const WITHHELD: Stage2Attributes = Stage2Attributes::empty();

/// The tables, and whether the current generation may use them.
pub struct Shared {
    /// Always from level 0 on. A root at level 1 is a copy of the tables below it.
    mapping: Mapping<IdTranslation<Stage2Attributes>, Stage2>,
    geometry: Geometry,
    monitor: Region,
    /// What is never executed.
    devices: RegionSet,
    /// The current generation has not ended.
    pub open: bool,
    /// There are devices that have what the current generation has.
    pub has_devices: bool,
    /// The root that has been filled for the next generation.
    pub prepared: Option<usize>,
    /// Tables that may still be made on demand.
    tables_left: usize,
}

impl Shared {
    /// Maps nothing yet.
    pub fn new(geometry: Geometry, monitor: Region, devices: &RegionSet) -> Self {
        let mut devices = devices.clone();
        devices.remove(&monitor);
        let (devices, left_out) = with_tables(&devices, TABLES_FOR_DEVICES);
        if left_out != 0 {
            log::warn!(
                "devices in {left_out} GiB more than {TABLES_FOR_DEVICES} can be executed by the guest"
            );
        }
        Self {
            mapping: Mapping::new(IdTranslation::new(), TOP_LEVEL, Stage2),
            geometry,
            monitor,
            devices,
            open: false,
            has_devices: false,
            prepared: None,
            tables_left: TABLES_ON_DEMAND,
        }
    }

    /// Maps what is mapped before a guest runs, and returns the end of what is mapped whatever is there.
    ///
    /// # Errors
    ///
    /// [`MapError`] if `ram` lies beyond 48 bits.
    pub fn map_at_boot(
        &mut self,
        ram: &RegionSet,
        guarded: &[Region],
        withheld: &RegionSet,
    ) -> Result<u64, MapError> {
        let top = match self.geometry.root_level() {
            // Its blocks are in the root itself: they take no tables.
            1 => self.geometry.end(),
            _ => self.geometry.end().min(MAPPED_AT_BOOT),
        };
        self.map_all(0, top)?;
        // Pages that are guarded or withheld come last: that splits the blocks around them.
        let known = ram.iter().chain(guarded).chain(withheld);
        for part in known.filter(|part| part.end() > top) {
            let start = part.start().max(top) & !(GIB - 1);
            self.map_all(start, part.end().next_multiple_of(GIB))?;
        }
        for page in guarded {
            map(&mut self.mapping, page.start(), page.end(), READ_THROUGH)?;
        }
        for pages in withheld {
            map(&mut self.mapping, pages.start(), pages.end(), WITHHELD)?;
        }
        Ok(top)
    }

    /// Maps the GiB at `start`. Returns false if it cannot be.
    pub fn map_on_demand(&mut self, start: u64) -> bool {
        let (end, mut tables) = (start + GIB, 0);
        if self.top_entry(start) == 0 {
            tables += 1;
        }
        let inside = |edge: u64| start < edge && edge < end;
        let edges = |device: &Region| inside(device.start()) || inside(device.end());
        if self.devices.iter().any(edges) && self.gib_entry(start) == 0 {
            tables += 1;
        }
        match self.tables_left.checked_sub(tables) {
            Some(left) => self.tables_left = left,
            None => return false,
        }
        self.map_all(start, end).is_ok()
    }

    /// Maps a guarded page, which is mapped by itself, so that it may be read, or not at all.
    ///
    /// # Errors
    ///
    /// [`MapError`] if it lies beyond 48 bits.
    pub fn let_read(&mut self, page: &Region, readable: bool) -> Result<(), MapError> {
        let attributes = if readable { READ_THROUGH } else { WITHHELD };
        map(&mut self.mapping, page.start(), page.end(), attributes)
    }

    /// Returns whether what is at `address` may be executed.
    pub fn may_execute(&self, address: u64) -> bool {
        self.devices.enclosing(address).is_none()
    }

    /// Returns the entry `index` of a root; 0 if there is none.
    pub fn root_entry(&self, index: usize) -> u64 {
        let address = (index as u64) << self.geometry.root_shift();
        match self.geometry.root_level() {
            1 => self.gib_entry(address),
            _ => self.top_entry(address),
        }
    }

    /// Returns how many GiBs `ram` lies in, and how many of them are not one block.
    pub fn gibs(&self, ram: &RegionSet) -> (usize, usize) {
        let (mut all, mut split, mut next) = (0, 0, 0);
        for bank in ram {
            let first = (bank.start() & !(GIB - 1)).max(next);
            next = bank.end().next_multiple_of(GIB);
            for gib in (first..next).step_by(GIB as usize) {
                all += 1;
                split += usize::from(self.gib_entry(gib) & KIND != BLOCK);
            }
        }
        (all, split)
    }

    /// Maps `start` to `end`, but for the monitor.
    fn map_all(&mut self, start: u64, end: u64) -> Result<(), MapError> {
        let mut at = start;
        let within = |device: &&Region| device.start() < end && start < device.end();
        for device in self.devices.iter().filter(within) {
            let (first, last) = (device.start().max(start), device.end().min(end));
            map_around(&mut self.mapping, &self.monitor, at, first)?;
            map(&mut self.mapping, first, last, NEVER_EXECUTED)?;
            at = last;
        }
        map_around(&mut self.mapping, &self.monitor, at, end)
    }

    /// Returns the entry of level 0 for `address`.
    fn top_entry(&self, address: u64) -> u64 {
        let root = self.mapping.root_address().0 as u64;
        // SAFETY: It is the root's address.
        unsafe { read(root, (address >> TOP_SHIFT) as usize) }
    }

    /// Returns the entry of level 1 for `address`; 0 if there is no table.
    fn gib_entry(&self, address: u64) -> u64 {
        let entry = self.top_entry(address);
        if entry & KIND != TABLE {
            return 0;
        }
        // SAFETY: The entry leads to a table.
        unsafe { read(entry & ADDRESS, (address / GIB) as usize % ENTRIES) }
    }
}

/// Returns the entry `index` of the table at physical address `table`; 0 if there is none.
///
/// # Safety
///
/// There is a table of a [`Mapping`], which nobody changes meanwhile.
unsafe fn read(table: u64, index: usize) -> u64 {
    if index >= ENTRIES {
        return 0;
    }
    let table = core::ptr::with_exposed_provenance::<u64>(table as usize);
    // SAFETY: A table has that many entries; the caller vouches for the rest.
    unsafe { table.add(index).read_volatile() }
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
