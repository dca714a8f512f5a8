// SPDX-License-Identifier: Apache-2.0
//! TLB maintenance (Arm ARM, TLB maintenance instructions).

use super::barrier;
use baton_sysreg::instruction;

/// Invalidates this CPU's translations of EL2: firmware may have left some.
pub fn invalidate_el2_local() {
    barrier::dsb_ishst();
    // SAFETY: A translation that is invalidated is walked again.
    unsafe { instruction!("tlbi alle2") };
    barrier::dsb_ish();
    barrier::isb();
}

/// Invalidates the translations of EL2 on every CPU; returns when that is done everywhere.
pub fn invalidate_el2() {
    barrier::dsb_ishst();
    // SAFETY: A translation that is invalidated is walked again.
    twice(|| unsafe { instruction!("tlbi alle2is") });
    barrier::isb();
}

/// Invalidates this CPU's translations of EL1 and EL0, stages 1 and 2, for every VMID.
pub fn invalidate_el1_local() {
    barrier::dsb_ishst();
    // SAFETY: A translation that is invalidated is walked again.
    unsafe { instruction!("tlbi alle1") };
    barrier::dsb_ish();
    barrier::isb();
}

/// Invalidates, on every CPU, the translations of EL1 and EL0, stages 1 and 2, for the VMID in
/// `VTTBR_EL2` of this CPU; returns when that is done everywhere.
pub fn invalidate_current_vmid() {
    barrier::dsb_ishst();
    // SAFETY: A translation that is invalidated is walked again.
    twice(|| unsafe { instruction!("tlbi vmalls12e1is") });
    barrier::isb();
}

/// Executes a broadcast TLBI, waits for it, and does both again: on many CPUs what another one has accessed by
/// a translation may still be under way when the first DSB is over (`Workaround::RepeatTlbi`).
fn twice(invalidate: impl Fn()) {
    for _ in 0..2 {
        invalidate();
        barrier::dsb_ish();
    }
}

/// Invalidates this CPU's instruction caches.
pub fn invalidate_instructions_local() {
    // SAFETY: An instruction that is invalidated is fetched again.
    unsafe { instruction!("ic iallu") };
    barrier::dsb_ish();
    barrier::isb();
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_sysreg::fake;

    /// Tables are written before the TLB forgets them, and it has before anything goes on (Arm ARM,
    /// D8.17, "TLB maintenance instructions and barriers").
    #[track_caller]
    fn stands_between_barriers(invalidate: fn(), instruction: &str) {
        fake::reset();
        invalidate();
        let expected = ["dsb ishst", instruction, "dsb ish", "isb"];
        assert_eq!(fake::instructions(), expected);
    }

    /// The same of one that is broadcast: what CPUs accessed by it is over when the second DSB is.
    #[track_caller]
    fn is_executed_twice(invalidate: fn(), instruction: &str) {
        fake::reset();
        invalidate();
        let once = [instruction, "dsb ish"];
        let expected = [&["dsb ishst"], &once[..], &once, &["isb"]].concat();
        assert_eq!(fake::instructions(), expected);
    }

    #[test]
    fn each_invalidation_stands_between_barriers() {
        stands_between_barriers(invalidate_el2_local, "tlbi alle2");
        stands_between_barriers(invalidate_el1_local, "tlbi alle1");
    }

    #[test]
    fn each_broadcast_is_executed_twice() {
        is_executed_twice(invalidate_el2, "tlbi alle2is");
        is_executed_twice(invalidate_current_vmid, "tlbi vmalls12e1is");
    }

    #[test]
    fn instructions_are_gone_when_it_returns() {
        fake::reset();
        invalidate_instructions_local();
        assert_eq!(fake::instructions(), ["ic iallu", "dsb ish", "isb"]);
    }
}
