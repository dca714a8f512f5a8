// SPDX-License-Identifier: Apache-2.0
//! An identity map: RAM as normal write-back memory, all else as device memory.
//!
//! 39-bit addresses, 4 KiB granule: one root of 512 entries of 1 GiB (Arm ARM D8.3). `start.S` fills
//! [`FIRST_ROOT`] with a rough one to begin with; [`init`] builds [`ROOT`] from the device tree.

use crate::machine::Machine;
use core::arch::asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

/// Entries of a table.
pub const ENTRIES: usize = 512;
const GIB: u64 = 1 << 30;
const MIB2: u64 = 2 << 20;
/// Bits of an address that the map covers.
const ADDRESS_BITS: u32 = 39;
/// The first address that it does not cover.
pub const END: u64 = 1 << ADDRESS_BITS;

/// Block descriptor: AF, inner shareable, AttrIndx 0 (normal write-back).
pub const NORMAL: u64 = 0x701;
/// Block descriptor: UXN, PXN, AF, AttrIndx 1 (device).
pub const DEVICE: u64 = 3 << 53 | 0x405;
const TABLE: u64 = 3;

/// A translation table.
#[repr(C, align(4096))]
pub struct Table([AtomicU64; ENTRIES]);

impl Table {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; ENTRIES])
    }
}

/// The map that `start.S` makes; it is in use until [`init`] has run.
pub static FIRST_ROOT: Table = Table::new();
/// The map of all CPUs.
pub static ROOT: Table = Table::new();
/// Second-level tables, for each GiB that holds RAM and something else.
static LEVEL2: [Table; 8] = [const { Table::new() }; 8];

unsafe extern "C" {
    fn mmu_enable(root: u64);
}

/// Makes normal memory, in [`FIRST_ROOT`], of the GiBs in which this range lies; `None` if it is not in memory.
pub fn make_normal(start: u64, size: u64) -> Option<()> {
    let end = start.checked_add(size)?;
    for gib in start / GIB..end.div_ceil(GIB) {
        // The first one has the devices of all boards that are known.
        let entry = FIRST_ROOT.0.get(gib as usize).filter(|_| gib > 0)?;
        let value = (gib * GIB) | NORMAL;
        if entry.load(Relaxed) != value {
            entry.store(0, Relaxed);
            flush();
            entry.store(value, Relaxed);
            flush();
        }
    }
    Some(())
}

/// Has this CPU forget what it has read of the map.
fn flush() {
    // SAFETY: the map covers what is in use before and after.
    unsafe {
        asm!(
            "dsb ish",
            "tlbi vmalle1",
            "dsb ish",
            "isb",
            options(nostack)
        )
    };
}

/// Builds the map and switches this CPU to it.
///
/// RAM and reserved memory are normal memory, in units of 2 MiB: the monitor's memory has to be
/// reachable as far as stage 1 is concerned, so that it is stage 2 that forbids it.
pub fn init(machine: &Machine) {
    let normal = |start: u64, size: u64| {
        let overlaps = |&(base, length): &(u64, u64)| start < base + length && base < start + size;
        machine.ram.iter().any(overlaps) || machine.reserved.iter().any(|r| overlaps(&r.range))
    };
    let mut tables = LEVEL2.iter();
    for (gib, entry) in (0u64..).zip(&ROOT.0) {
        let start = gib * GIB;
        let whole = if normal(start, GIB) {
            (0..ENTRIES as u64)
                .filter(|n| normal(start + n * MIB2, MIB2))
                .count()
        } else {
            0
        };
        let value = match whole {
            0 => start | DEVICE,
            ENTRIES => start | NORMAL,
            _ => match tables.next() {
                Some(table) => {
                    for (n, entry) in (0u64..).zip(&table.0) {
                        let block = start + n * MIB2;
                        let kind = if normal(block, MIB2) { NORMAL } else { DEVICE };
                        entry.store(block | kind, Relaxed);
                    }
                    &raw const *table as u64 | TABLE
                }
                None => start | DEVICE,
            },
        };
        entry.store(value, Relaxed);
    }
    // SAFETY: the map covers the image, the stack and all that is in use, at the same addresses.
    unsafe { mmu_enable(&raw const ROOT as u64) };
}

/// Calls `access` with an address that is mapped through the page `table` as a table of level 2, and
/// returns both; `None` if there is no room for one more CPU that does so (`slot`).
pub fn through<T>(slot: usize, table: u64, access: impl FnOnce(u64) -> T) -> Option<(u64, T)> {
    // GiBs above the devices of all boards that are known.
    const FIRST: usize = 300;
    let gib = FIRST + slot;
    let entry = ROOT.0.get(gib)?;
    let before = entry.swap(table | TABLE, Relaxed);
    flush();
    let address = gib as u64 * GIB;
    let result = access(address);
    entry.store(before, Relaxed);
    flush();
    Some((address, result))
}

/// Whether an address is one that the map covers.
pub fn covers(address: u64) -> bool {
    address >> ADDRESS_BITS == 0
}
