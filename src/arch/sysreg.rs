// SPDX-License-Identifier: Apache-2.0
//! Fields of system registers that several places ask for.

use baton_core::mpidr::AFFINITY;
use baton_sysreg::read_sysreg;

/// Returns bits `[low + 3 : low]` of an ID register: the usual four-bit feature field.
pub const fn id_field(register: u64, low: u32) -> u64 {
    register >> low & 0xf
}

/// Returns `MIDR_EL1` and `REVIDR_EL1` of the CPU that runs this.
pub fn identification() -> (u64, u64) {
    // SAFETY: They are ID registers.
    unsafe { (read_sysreg!(MIDR_EL1), read_sysreg!(REVIDR_EL1)) }
}

/// Returns the affinity fields of `MPIDR_EL1` of the CPU that runs this.
pub fn current_mpidr() -> u64 {
    // SAFETY: MPIDR_EL1 is an ID register.
    unsafe { read_sysreg!(MPIDR_EL1) & AFFINITY }
}
