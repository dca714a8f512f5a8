// SPDX-License-Identifier: Apache-2.0
//! What an SMMUv3 has before its driver comes (Arm IHI 0070, 6.3).

use super::sheet::{Index, Page};
use crate::mmio::read32;
use crate::smmu::{ABORT, CMDQ_CONS, CR0, CR0ACK, GBPA, GERROR, GERRORN, IRQ_CTRLACK};
use baton_abi::steps;

/// Adds its rows: off, and shut.
pub fn audit(page: &mut Page, base: u64, place: usize) {
    let mut add = |name, expected: u32, mask: u32, found: u32| {
        page.add(
            (steps::SMMU, name, Index::None),
            place,
            expected.into(),
            mask.into(),
            found.into(),
        );
    };
    let read = |register| read32(base + register);
    add("SMMU_CR0", 0, !0, read(CR0));
    add("SMMU_CR0ACK", 0, !0, read(CR0ACK));
    add("SMMU_GBPA", ABORT, ABORT, read(GBPA));
    add("SMMU_IRQ_CTRLACK", 0, !0, read(IRQ_CTRLACK));
    add("SMMU_GERROR ^ GERRORN", 0, !0, read(GERROR) ^ read(GERRORN));
    add("SMMU_CMDQ_CONS", 0, !0, read(CMDQ_CONS));
}
