// SPDX-License-Identifier: Apache-2.0
//! The addresses of a machine: which are the guest's memory, where memory can be plugged in, and where
//! there are devices.

use super::geometry::{Geometry, physical_bits};
use super::hotplug::{BLOCK, Room};
use super::region::{Region, RegionSet};
use thiserror::Error;

/// Bytes that one entry of a table of level 1 maps.
pub const GIB: u64 = 1 << 30;

/// How many tables of level 2 tell devices from what else is in their GiBs, at most.
pub const TABLES_FOR_DEVICES: usize = 64;

/// There is memory that stage 2 cannot map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "memory at {memory} lies beyond the {bits} bits of address that are served, of {has} that this CPU has"
)]
pub struct Beyond {
    /// The memory.
    pub memory: Region,
    /// The bits of address that the guest can have.
    pub bits: u32,
    /// The bits of physical address of the CPU.
    pub has: u32,
}

impl Beyond {
    /// Looks whether a guest on the CPU with this `ID_AA64MMFR0_EL1` can have all of `banks`.
    ///
    /// # Errors
    ///
    /// The first bank that it cannot.
    pub fn check(mmfr0: u64, banks: &RegionSet) -> Result<(), Self> {
        let widest = Geometry::new(mmfr0, u64::MAX);
        match banks.iter().find(|bank| bank.end() > widest.end()) {
            None => Ok(()),
            Some(memory) => Err(Self {
                memory: *memory,
                bits: widest.bits(),
                has: physical_bits(mmfr0),
            }),
        }
    }
}

/// What is at which address of a machine.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The guest's memory, which the monitor reads and writes.
    pub banks: RegionSet,
    /// Where memory can be plugged in.
    pub room: Room,
    /// What is neither: the guest never executes it. Whole blocks of 2 MiB.
    pub devices: RegionSet,
    /// How stage 2 is walked.
    pub geometry: Geometry,
    /// Something that the description names and that is at no address the guest can have.
    pub out_of_reach: Option<Region>,
}

impl Addresses {
    /// Sorts the addresses of a machine whose boot CPU has `mmfr0` as its `ID_AA64MMFR0_EL1`.
    ///
    /// `banks` is the guest's memory, and `monitor` the monitor's; `memory` is what may be memory besides,
    /// of firmware and for kernels. `claimed` is all that the description gives to anything.
    ///
    /// # Errors
    ///
    /// [`Beyond`] if memory of the guest's is at no address that it can have.
    pub fn new(
        mmfr0: u64,
        banks: RegionSet,
        monitor: &Region,
        memory: &RegionSet,
        claimed: &RegionSet,
    ) -> Result<Self, Beyond> {
        let known = claimed.iter().chain(banks.iter()).chain([monitor]);
        let end = known.map(Region::end).max().unwrap_or(0);
        let geometry = Geometry::new(mmfr0, end);
        Beyond::check(mmfr0, &banks)?;
        let taken = claimed.iter().chain(banks.iter()).chain([monitor]);
        let room = Room::new(taken, geometry.end());
        let mut devices = blocks_below(geometry.end(), claimed.iter());
        let memory = memory.iter().chain(banks.iter()).chain([monitor]);
        devices.remove_all(&blocks_below(geometry.end(), memory));
        let beyond = |region: &&Region| region.start() >= geometry.end();
        Ok(Self {
            room,
            devices,
            geometry,
            out_of_reach: claimed.iter().find(beyond).copied(),
            banks,
        })
    }
}

/// Returns the blocks of 2 MiB below `end` that any of `regions` lies in.
fn blocks_below<'a>(end: u64, regions: impl Iterator<Item = &'a Region>) -> RegionSet {
    regions
        .filter_map(|region| Region::from_bounds(region.start(), region.end().min(end)).ok())
        .filter_map(|region| region.align_outward(BLOCK))
        .collect()
}

/// Returns as much of `devices` as takes at most `tables` tables of level 2 to be told from what else is in
/// their GiBs, and how many GiBs would take one more each.
pub fn with_tables(devices: &RegionSet, tables: usize) -> (RegionSet, usize) {
    let (mut kept, mut split, mut last) = (RegionSet::new(), 0, None);
    for part in devices.iter().flat_map(by_gib) {
        if !part.is_aligned(GIB) {
            let gib = part.start() / GIB;
            if last.replace(gib) != Some(gib) {
                split += 1;
            }
            if split > tables {
                continue;
            }
        }
        kept.insert(part);
    }
    (kept, split.saturating_sub(tables))
}

/// Returns what of `region` is whole GiBs, and the parts of a GiB before and behind.
fn by_gib(region: &Region) -> impl Iterator<Item = Region> + use<> {
    let (start, end) = (region.start(), region.end());
    let first = start.next_multiple_of(GIB).min(end);
    let last = (end / GIB * GIB).max(first);
    [(start, first), (first, last), (last, end)]
        .into_iter()
        .filter_map(|(start, end)| Region::from_bounds(start, end).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANK: (u64, u64) = (0x4000_0000, 0x8000_0000);
    const MONITOR: (u64, u64) = (0x7fc0_0000, 0x8000_0000);

    fn region((start, end): (u64, u64)) -> Region {
        Region::from_bounds(start, end).expect("test region")
    }

    fn set(regions: &[(u64, u64)]) -> RegionSet {
        regions.iter().copied().map(region).collect()
    }

    /// A machine with `PARange` of `range`, whose memory is [`BANK`] and `more`.
    fn addresses(
        range: u64,
        more: &[(u64, u64)],
        claimed: &[(u64, u64)],
    ) -> Result<Addresses, Beyond> {
        let mut banks = set(more);
        banks.insert(region(BANK));
        banks.remove(&region(MONITOR));
        Addresses::new(
            range,
            banks,
            &region(MONITOR),
            &RegionSet::new(),
            &set(claimed),
        )
    }

    /// As [`addresses`], where that is possible.
    #[track_caller]
    fn machine(range: u64, claimed: &[(u64, u64)]) -> Addresses {
        addresses(range, &[], claimed).expect("memory that can be served")
    }

    #[test]
    fn devices_are_what_is_claimed_and_no_memory() {
        // A UART, the memory with a page before it that is something else's, a window of PCI.
        let machine = machine(
            5,
            &[
                (0x900_0000, 0x900_1000),
                (0x3fff_f000, 0x8000_0000),
                (0x80_0000_0000, 0x100_0000_0000),
            ],
        );
        let expected = set(&[
            (0x900_0000, 0x920_0000),
            (0x3fe0_0000, 0x4000_0000),
            (0x80_0000_0000, 0x100_0000_0000),
        ]);
        assert_eq!(machine.devices, expected);
        assert_eq!(machine.geometry.bits(), 40);
    }

    #[test]
    fn a_block_with_memory_in_it_is_no_device() {
        let memory = set(&[(0xfe00_0000, 0xfe00_1000)]);
        let claimed = set(&[(0xfe00_0000, 0xfe40_0000)]);
        let banks = set(&[BANK]);
        let seen = Addresses::new(5, banks, &region(MONITOR), &memory, &claimed);
        let seen = seen.expect("memory that can be served");
        assert_eq!(seen.devices, set(&[(0xfe20_0000, 0xfe40_0000)]));
    }

    /// As where ACPI describes the machine: all but memory is claimed.
    #[test]
    fn everything_but_memory_can_be_devices() {
        let machine = machine(4, &[(0, u64::MAX)]);
        assert_eq!(machine.devices, set(&[(0, BANK.0), (BANK.1, 1 << 44)]));
        assert_eq!((machine.geometry.bits(), machine.out_of_reach), (44, None));
    }

    #[test]
    fn memory_beyond_what_is_served_is_named() {
        for (range, bank, bits, has) in [
            (2, (1 << 40, (1 << 40) + BLOCK), 40, 40),
            (1, ((1 << 36) - BLOCK, (1 << 36) + BLOCK), 36, 36),
            (6, (1 << 48, (1 << 48) + BLOCK), 48, 52),
        ] {
            let expected = Beyond {
                memory: region(bank),
                bits,
                has,
            };
            let seen = addresses(range, &[bank], &[]).expect_err("memory beyond");
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn the_last_memory_that_can_be_served_is() {
        for (range, end) in [(2, 1 << 40), (3, 1 << 42), (5, 1 << 48), (6, 1 << 48)] {
            let seen = addresses(range, &[(end - BLOCK, end)], &[]);
            assert_eq!(seen.expect("memory that can be served").geometry.end(), end);
        }
    }

    #[test]
    fn what_no_address_reaches_is_named() {
        let claimed = [(0x900_0000, 0x900_1000), (1 << 41, (1 << 41) + 0x1000)];
        assert_eq!(machine(2, &claimed).out_of_reach, Some(region(claimed[1])));
        assert_eq!(machine(5, &claimed).out_of_reach, None);
    }

    #[test]
    fn as_many_gibs_are_split_as_there_are_tables() {
        let devices = set(&[
            (0x1000_0000, 0x1020_0000),
            (0x2000_0000, 0x8000_0000),
            (0xc000_0000, 0xd000_0000),
            (0x1_3000_0000, 0x1_3020_0000),
        ]);
        let whole = [(0x4000_0000, 0x8000_0000)];
        let first = [(0x1000_0000, 0x1020_0000), (0x2000_0000, 0x8000_0000)];
        assert_eq!(with_tables(&devices, 0), (set(&whole), 3));
        assert_eq!(with_tables(&devices, 1), (set(&first), 2));
        assert_eq!(with_tables(&devices, 3), (devices.clone(), 0));
        // One that reaches into the next GiB takes two.
        let across = set(&[(0x3000_0000, 0x5000_0000)]);
        assert_eq!(
            with_tables(&across, 1),
            (set(&[(0x3000_0000, 0x4000_0000)]), 1)
        );
    }
}
