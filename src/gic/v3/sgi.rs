// SPDX-License-Identifier: Apache-2.0
//! Software generated interrupts of group 1 (Arm IHI 0069, 12.2, `ICC_SGI1R_EL1`).

use crate::arch::barrier;
use baton_sysreg::write_sysreg;

/// Sends SGI `sgi` (0 to 15) to every other CPU.
pub fn to_all_others(sgi: u8) {
    const IRM: u64 = 1 << 40;
    send(IRM | intid(sgi));
}

/// Sends SGI `sgi` (0 to 15) to the CPU whose `MPIDR_EL1` is `mpidr`.
///
/// A CPU whose lowest affinity is above 15 can be reached where `ICC_CTLR_EL1.RSS` says so.
pub fn to_one(mpidr: u64, sgi: u8) {
    let aff0 = mpidr & 0xff;
    let aff1 = mpidr >> 8 & 0xff;
    let aff2 = mpidr >> 16 & 0xff;
    let aff3 = mpidr >> 32 & 0xff;
    // RS chooses 16 CPUs, the target list one of them.
    send(aff3 << 48 | (aff0 >> 4) << 44 | aff2 << 32 | intid(sgi) | aff1 << 16 | 1 << (aff0 & 0xf));
}

fn intid(sgi: u8) -> u64 {
    u64::from(sgi & 0xf) << 24
}

fn send(value: u64) {
    // What was stored before is seen by who takes the interrupt.
    barrier::dsb_ish();
    // SAFETY: Interrupts go to EL1 of the other CPUs; a CPU that has the SGI off ignores it.
    unsafe { write_sysreg!(ICC_SGI1R_EL1, value) };
    barrier::isb();
}

#[cfg(test)]
mod tests;
