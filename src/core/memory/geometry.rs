// SPDX-License-Identifier: Apache-2.0
//! How many bits of address a guest has, and how stage 2 is walked for them (Arm ARM, D8.2,
//! `VTCR_EL2`), with a granule of 4 KiB.
//!
//! It is one choice for all CPUs, made before the others come: no wider than what the description of
//! the machine names, so that a CPU with fewer bits than the boot CPU can still walk it.

use core::fmt::{self, Display, Formatter};
use thiserror::Error;

/// Bits of address by `ID_AA64MMFR0_EL1.PARange`. What a CPU has beyond these takes another form of
/// descriptor, and is not served.
const BITS: [u32; 6] = [32, 36, 40, 42, 44, MOST_BITS];
/// The most bits of address that are served.
pub const MOST_BITS: u32 = 48;
/// The last `PARange` that is served in full.
const LARGEST: u64 = BITS.len() as u64 - 1;
/// `PARange` of 40 bits: no CPU that Linux runs on as a server or a board's has fewer by choice, and more
/// than what one table of level 1 covers.
const SMALLEST: u64 = 2;
/// Bits that one table of level 1, and of level 0, covers.
const LEVEL_1: u32 = 39;
/// With more bits than this, a walk may begin at level 0, and cannot begin at level 1 on every CPU.
const LEVEL_1_MOST: u32 = 42;
/// Entries of a table.
const ENTRIES: usize = 512;

/// `VTCR_EL2` but for PS, SL0 and T0SZ: the RES1 bit, table walks inner shareable and write-back.
const VTCR: u64 = 1 << 31 | 3 << 12 | 1 << 10 | 1 << 8;

/// A CPU has fewer bits of address than the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it has {has} bits of physical address, and the guest {needed}")]
pub struct TooFewBits {
    /// What the CPU has.
    pub has: u32,
    /// What the guest has.
    pub needed: u32,
}

/// Returns how many bits of physical address a CPU has, by its `ID_AA64MMFR0_EL1`: up to 56.
pub fn physical_bits(mmfr0: u64) -> u32 {
    match mmfr0 & 0xf {
        6 => 52,
        7 => 56,
        range => BITS[range.min(LARGEST) as usize],
    }
}

/// The guest's addresses, and the tables for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// An encoding of [`BITS`].
    pa_range: u64,
}

impl Geometry {
    /// Returns the smallest of at least 40 bits that has all addresses below `end`, and no more than
    /// the CPU with this `ID_AA64MMFR0_EL1`, and than 48.
    pub fn new(mmfr0: u64, end: u64) -> Self {
        let holds_all = |range: &u64| end <= 1 << BITS[*range as usize];
        let needed = (SMALLEST..LARGEST).find(holds_all).unwrap_or(LARGEST);
        Self {
            pa_range: needed.min(mmfr0 & 0xf),
        }
    }

    /// Returns the bits of an intermediate physical address.
    pub fn bits(&self) -> u32 {
        BITS[self.pa_range as usize]
    }

    /// Returns the first address that is none.
    pub fn end(&self) -> u64 {
        1 << self.bits()
    }

    /// Returns this as an encoding of `PARange`: what `TCR_EL2.PS` and `VTCR_EL2.PS` are.
    pub fn pa_range(&self) -> u64 {
        self.pa_range
    }

    /// Returns the level that a walk begins at: 1 as long as that is allowed, which is one access less.
    pub fn root_level(&self) -> u32 {
        u32::from(self.bits() <= LEVEL_1_MOST)
    }

    /// Returns how many tables a root is made of, one behind the other. It begins at a multiple of
    /// their size.
    pub fn root_tables(&self) -> usize {
        self.root_entries().div_ceil(ENTRIES)
    }

    /// Returns how many entries a root has.
    pub fn root_entries(&self) -> usize {
        1 << (self.bits() - self.root_shift())
    }

    /// Returns how many bits of an address lie below those that choose an entry of a root.
    pub fn root_shift(&self) -> u32 {
        LEVEL_1 - 9 * self.root_level()
    }

    /// Returns `VTCR_EL2`.
    pub fn vtcr(&self) -> u64 {
        // SL0 counts the other way: 2 is level 0, 1 is level 1.
        let start_level = u64::from(2 - self.root_level());
        VTCR | self.pa_range << 16 | start_level << 6 | u64::from(64 - self.bits())
    }

    /// Returns whether the CPU with this `ID_AA64MMFR0_EL1` can walk it.
    ///
    /// # Errors
    ///
    /// [`TooFewBits`] if it has fewer bits.
    pub fn fits(&self, mmfr0: u64) -> Result<(), TooFewBits> {
        let (has, needed) = (physical_bits(mmfr0), self.bits());
        match has < needed {
            true => Err(TooFewBits { has, needed }),
            false => Ok(()),
        }
    }
}

impl Display for Geometry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (bits, level, tables) = (self.bits(), self.root_level(), self.root_tables());
        write!(
            f,
            "{bits} bits of address, walked from level {level}, {tables} tables at a root"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ID_AA64MMFR0_EL1.PARange`, with its neighbour set.
    fn mmfr0(range: u64) -> u64 {
        0xf0 | range
    }

    /// The rules of the Arm ARM for VTCR_EL2 with a granule of 4 KiB: where a walk may begin, of how many
    /// tables, and what the CPU puts out.
    #[track_caller]
    fn obeys_the_architecture(geometry: &Geometry, range: u64) {
        let vtcr = geometry.vtcr();
        let (start_level, input) = (vtcr >> 6 & 3, 64 - (vtcr & 0x3f));
        let pa_bits = physical_bits(range).min(48).into();
        assert!(input <= pa_bits, "{input} bits of {pa_bits}");
        assert!(vtcr >> 16 & 7 <= range, "PS of PARange {range}");
        let tables = match start_level {
            // Level 0 is there with more than 42 bits alone; one table has 48.
            2 => {
                assert!(pa_bits > 42, "level 0 with {pa_bits} bits");
                assert!((40..=48).contains(&input), "level 0 for {input} bits");
                1
            }
            // Up to 16 tables.
            1 => {
                assert!((31..=43).contains(&input), "level 1 for {input} bits");
                1usize << input.saturating_sub(39)
            }
            other => panic!("SL0 is {other}"),
        };
        assert_eq!(geometry.root_tables(), tables);
        assert_eq!(u64::from(geometry.root_level()), 2 - start_level);
        let reach = (geometry.root_entries() as u64) << geometry.root_shift();
        assert_eq!((reach, geometry.end()), (1 << input, 1 << input));
    }

    #[test]
    fn every_cpu_can_walk_what_is_chosen_for_it() {
        for range in 0..16 {
            for end in [0, 1 << 31, 1 << 40, 1 << 41, 1 << 43, 1 << 48, u64::MAX] {
                let geometry = Geometry::new(mmfr0(range), end);
                obeys_the_architecture(&geometry, range.min(7));
                assert_eq!(geometry.fits(mmfr0(range)), Ok(()), "PARange {range}");
            }
        }
    }

    #[test]
    fn the_root_is_as_small_as_the_machine() {
        // PARange, end of all that is known: bits, level, tables.
        for (range, end, expected) in [
            (0, 1 << 31, (32, 1, 1)),
            (1, 1 << 34, (36, 1, 1)),
            // A Cortex-A53, and LS1088A's second bank.
            (2, 0x80_8000_0000 + (2 << 30), (40, 1, 2)),
            (2, u64::MAX, (40, 1, 2)),
            // X-Gene.
            (3, (1 << 40) + 1, (42, 1, 8)),
            // A Cortex-A72 where a Cortex-A53 can come later.
            (4, 1 << 40, (40, 1, 2)),
            (4, (1 << 40) + 1, (42, 1, 8)),
            (4, u64::MAX, (44, 0, 1)),
            // A Neoverse N1 of two sockets, described by ACPI.
            (5, u64::MAX, (48, 0, 1)),
            (5, 1 << 44, (44, 0, 1)),
            // 52 and 56 bits.
            (6, u64::MAX, (48, 0, 1)),
            (7, 1 << 48, (48, 0, 1)),
        ] {
            let geometry = Geometry::new(mmfr0(range), end);
            let seen = (
                geometry.bits(),
                geometry.root_level(),
                geometry.root_tables(),
            );
            assert_eq!(seen, expected, "PARange {range}, {end:#x}");
        }
    }

    #[test]
    fn vtcr_is_what_the_architecture_says() {
        // RES1; SH0 inner shareable; ORGN0 and IRGN0 write-back.
        let common = 0x8000_3500;
        for (range, end, expected) in [
            (2, 1 << 40, 2 << 16 | 1 << 6 | 24),
            (3, 1 << 42, 3 << 16 | 1 << 6 | 22),
            (5, u64::MAX, 5 << 16 | 2 << 6 | 16),
        ] {
            let geometry = Geometry::new(mmfr0(range), end);
            assert_eq!(geometry.vtcr(), common | expected, "PARange {range}");
        }
    }

    #[test]
    fn a_cpu_with_fewer_bits_than_the_guest_does_not_fit() {
        let wide = Geometry::new(mmfr0(4), 1 << 44);
        let error = TooFewBits {
            has: 40,
            needed: 44,
        };
        assert_eq!(wide.fits(mmfr0(2)), Err(error));
        assert_eq!(wide.fits(mmfr0(6)), Ok(()));
        let narrow = Geometry::new(mmfr0(4), 1 << 39);
        assert_eq!(narrow.fits(mmfr0(2)), Ok(()));
    }
}
