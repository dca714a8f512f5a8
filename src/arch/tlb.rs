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
    unsafe { instruction!("tlbi vmalls12e1is") };
    barrier::dsb_ish();
    barrier::isb();
}

/// Invalidates this CPU's instruction caches.
pub fn invalidate_instructions_local() {
    // SAFETY: An instruction that is invalidated is fetched again.
    unsafe { instruction!("ic iallu") };
    barrier::dsb_ish();
    barrier::isb();
}
