// SPDX-License-Identifier: Apache-2.0

use super::*;
use baton_sysreg::fake::{self, Event};

#[test]
fn all_others_are_reached_by_irm() {
    fake::reset();
    to_all_others(7);
    // IHI 0069H.b, 12.2.20: IRM is bit 40, INTID bits 27 to 24.
    assert_eq!(fake::writes(), [("ICC_SGI1R_EL1", 1 << 40 | 7 << 24)]);
}

#[test]
fn one_cpu_is_reached_by_its_affinity() {
    fake::reset();
    // Aff3 4, Aff2 3, Aff1 2, Aff0 0x25: in the third group of 16, the sixth.
    to_one(0x4_8003_0225, 1);
    let (aff3, rs, aff2, intid, aff1, list) = (4 << 48, 2 << 44, 3 << 32, 1 << 24, 2 << 16, 1 << 5);
    assert_eq!(
        fake::writes(),
        [("ICC_SGI1R_EL1", aff3 | rs | aff2 | intid | aff1 | list)]
    );
}

#[test]
fn what_was_stored_before_can_be_seen_by_who_takes_it() {
    fake::reset();
    to_all_others(0);
    assert_eq!(
        fake::events(),
        [
            Event::Execute("dsb ish", None),
            Event::Write("ICC_SGI1R_EL1", 1 << 40),
            Event::Execute("isb", None),
        ]
    );
}
