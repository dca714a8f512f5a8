// SPDX-License-Identifier: Apache-2.0
//! The map the image starts with: itself and what it was handed, from tables inside the image.

use super::image;
use crate::arch::barrier;
use crate::memory::stage1::{self, MemoryKind, MmuConfig, VaSize};
use aarch64_paging::Mapping;
use aarch64_paging::descriptor::{El23Attributes, PhysicalAddress};
use aarch64_paging::paging::{El2, PageTable, Translation};
use baton_core::memory::geometry::Geometry;
use baton_core::memory::region::Region;
use baton_sysreg::read_sysreg;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// A root, and three tables on the way to each of twenty-one places in memory.
const TABLES: usize = 64;
/// The most tables that a region needs, of up to [`SMALL`] bytes.
const FOR_SMALL: usize = 6;
const SMALL: u64 = 2 << 20;
/// Tables that are left for what the monitor itself needs.
const KEPT: usize = 24;
const PAGE: usize = 4096;

#[repr(C, align(4096))]
struct Pool(UnsafeCell<[[u8; PAGE]; TABLES]>);

/// What is used by one CPU alone, before any other is started.
#[repr(transparent)]
struct BootCell<T>(UnsafeCell<T>);

// SAFETY: Both are touched by the boot CPU alone, before it starts any other.
unsafe impl Sync for Pool {}
// SAFETY: As above.
unsafe impl<T> Sync for BootCell<T> {}

static POOL: Pool = Pool(UnsafeCell::new([[0; PAGE]; TABLES]));
static MAP: BootCell<MaybeUninit<EarlyMap>> = BootCell(UnsafeCell::new(MaybeUninit::uninit()));
/// Read by `head.S`.
#[unsafe(no_mangle)]
static EARLY_MMU_CONFIG: BootCell<MaybeUninit<MmuConfig>> =
    BootCell(UnsafeCell::new(MaybeUninit::uninit()));

type EarlyMap = Mapping<Tables, El2>;

/// Hands out the tables of [`POOL`], one after another.
struct Tables {
    used: usize,
}

impl Translation<El23Attributes> for Tables {
    fn allocate_table(&mut self) -> (NonNull<PageTable<El23Attributes>>, PhysicalAddress) {
        assert!(
            self.used < TABLES,
            "the early map needs more than {TABLES} tables"
        );
        let address = POOL.0.get() as usize + self.used * PAGE;
        self.used += 1;
        let table = NonNull::new(address as *mut PageTable<El23Attributes>);
        (
            table.expect("the image is not at 0"),
            PhysicalAddress(address),
        )
    }

    unsafe fn deallocate_table(&mut self, _: NonNull<PageTable<El23Attributes>>) {}

    fn physical_to_virtual(&self, pa: PhysicalAddress) -> NonNull<PageTable<El23Attributes>> {
        NonNull::new(pa.0 as *mut _).expect("no table is at 0")
    }
}

/// Builds the map: the image, and the `size` bytes from physical address `given` on, where the device tree
/// can be, or what else the image was handed.
///
/// Called by `head.S` with MMU and caches off: no atomics that exchange, no unaligned accesses.
#[unsafe(no_mangle)]
extern "C" fn early_map(given: u64, size: u64) {
    let mut map = Mapping::new(Tables { used: 0 }, VaSize::Bits48.root_level(), El2);
    // It may share pages with nothing of ours: the image comes last and wins.
    let given = Region::new(given & !7, size).ok();
    for (region, what) in [
        (given, MemoryKind::Data),
        (Some(image::region()), MemoryKind::Image),
    ] {
        if let Some(region) = region {
            // What lies beyond 48 bits is not mapped; a tree there is read as no tree at all.
            let _ = stage1::map(&mut map, &region, what);
        }
    }
    // SAFETY: It is an ID register.
    let mmfr0 = unsafe { read_sysreg!(ID_AA64MMFR0_EL1) };
    let pa_range = Geometry::new(mmfr0, u64::MAX).pa_range();
    let mmu = MmuConfig::new(map.root_address(), VaSize::Bits48, pa_range, false);
    // SAFETY: This is the boot CPU, and nothing refers to either yet.
    unsafe {
        (*EARLY_MMU_CONFIG.0.get()).write(mmu);
        (*MAP.0.get()).write(map);
    }
}

/// Adds `region` to the early map.
///
/// # Safety
///
/// Only on the boot CPU, while it runs on the early map, and for what is not mapped in it yet.
pub unsafe fn add(region: &Region, what: MemoryKind) {
    // SAFETY: `early_map` has written it, and the caller is its only user.
    let map = unsafe { (*MAP.0.get()).assume_init_mut() };
    // Beyond 48 bits there is nothing to map, and the access that follows reports itself.
    let _ = stage1::map(map, region, what);
    barrier::dsb_ish();
    barrier::isb();
}

/// Whether there are tables for `region`, beside what the monitor itself will need.
pub fn has_room(region: &Region) -> bool {
    // SAFETY: `early_map` has written it, and nobody changes it meanwhile.
    let map = unsafe { (*MAP.0.get()).assume_init_ref() };
    region.size() <= SMALL && map.translation().used + FOR_SMALL + KEPT <= TABLES
}
