// SPDX-License-Identifier: Apache-2.0
//! The affinity fields of `MPIDR_EL1`, by which PSCI, the GIC and the device tree name a CPU.

/// Aff3 in bits 39:32 and Aff2 to Aff0 in bits 23:0 (Arm ARM, `MPIDR_EL1`).
pub const AFFINITY: u64 = 0xff_00ff_ffff;

/// Returns the fields that two CPUs of one affinity instance of `level` have in common: all of them
/// for level 0, a CPU, and Aff3 alone for level 3. `None` above that (DEN0022, AFFINITY_INFO).
pub const fn mask_from_level(level: u32) -> Option<u64> {
    match level {
        0 => Some(AFFINITY),
        1 => Some(0xff_00ff_ff00),
        2 => Some(0xff_00ff_0000),
        3 => Some(0xff_0000_0000),
        _ => None,
    }
}

/// Returns a number that the CPUs of a cluster have in common, of `MPIDR_EL1`: Aff1 counts clusters, or cores
/// where Aff0 counts threads (MT), and then Aff2 counts clusters.
pub const fn cluster(mpidr: u64) -> u64 {
    const MT: u64 = 1 << 24;
    let (above, below) = (mpidr >> 32 & 0xff, mpidr & 0xff_ffff);
    let core = if mpidr & MT != 0 { 16 } else { 8 };
    above << 16 | below >> core
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the MPIDR of these affinity fields, Aff3 first, with all other bits set.
    fn mpidr(fields: [u8; 4]) -> u64 {
        let [aff3, aff2, aff1, aff0] = fields.map(u64::from);
        !AFFINITY | aff3 << 32 | aff2 << 16 | aff1 << 8 | aff0
    }

    #[test]
    fn affinity_leaves_no_other_bit() {
        assert_eq!(mpidr([0; 4]) & AFFINITY, 0);
        assert_eq!(mpidr([0x12, 0x34, 0x56, 0x78]) & AFFINITY, 0x12_0034_5678);
    }

    #[test]
    fn cores_of_a_cluster_have_one_number() {
        const MT: u64 = 1 << 24;
        for (one, other, same) in [
            (0x8000_0000, 0x8000_0003, true),
            (0x8000_0003, 0x8000_0103, false),
            (MT, MT | 0x100, true),
            (MT | 0x100, MT | 0x1_0100, false),
            (MT | 0x1_0000, MT | 0x1_0001_0000, false),
        ] {
            let seen = cluster(one) == cluster(other);
            assert_eq!(seen, same, "{one:#x} and {other:#x}");
        }
    }

    #[test]
    fn each_level_drops_the_fields_below_it() {
        let cpu = mpidr([0x12, 0x34, 0x56, 0x78]);
        for (level, expected) in [
            (0, 0x12_0034_5678),
            (1, 0x12_0034_5600),
            (2, 0x12_0034_0000),
            (3, 0x12_0000_0000),
        ] {
            let seen = mask_from_level(level).map(|mask| cpu & mask);
            assert_eq!(seen, Some(expected), "level {level}");
        }
        for level in [4, 5, u32::MAX] {
            assert_eq!(mask_from_level(level), None, "level {level}");
        }
    }
}
