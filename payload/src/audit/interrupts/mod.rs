// SPDX-License-Identifier: Apache-2.0
//! The interrupt controller: what is left in it, and what is found (Arm IHI 0069; of a GICv2, see
//! `interrupts_v2`).

mod cpu_interface;
mod distributor;
mod private;
mod redistributor;

pub use cpu_interface::{audit_cpu_interface, take};
pub use distributor::Controller;
pub use private::{dirty_private, dirty_sgis, listen};
pub use redistributor::audit_redistributor;

use crate::cpu::AFFINITY_MASK;
use core::sync::atomic::AtomicBool;

/// Private interrupts of devices (BSA, 3.8.1): their lines are theirs to lower.
pub const TIMER_LINES: u32 = 1 << 27 | 1 << 30;
pub const PMU_LINE: u32 = 1 << 23;
/// All of them.
pub const DEVICE_LINES: u32 = TIMER_LINES | PMU_LINE;
/// The first interrupts of a CPU.
pub const SGIS: u32 = 0xffff;

/// The SGI that each CPU takes and never ends, one that is left pending, and one that is disabled.
const TAKEN: u32 = 5;
const PENDING: u32 = 6;
const DISABLED: u32 = 7;
/// Priorities: of LPIs, SGIs and PPIs, SPIs; each preempts the one before.
pub const LPI_PRIORITY: u8 = 0xa0;
const PRIVATE_PRIORITY: u32 = 0x40;
const SPI_PRIORITY: u32 = 0x20;

/// Group 0 is EL1's too: there is one security state. Elsewhere it is EL3's, and may trap there.
static GROUP0: AtomicBool = AtomicBool::new(false);

pub fn bytes(priority: u32) -> u32 {
    priority * 0x0101_0101
}

/// What [`take`] gives if nothing is pending (IHI 0069, 2.2.1).
pub const NOTHING: u64 = 1023;
/// The SGI that [`dirty_sgis`] takes.
pub const TAKEN_SGI: u64 = TAKEN as u64;

/// The affinity fields of an MPIDR, as routes have them.
pub fn affinity(mpidr: u64) -> u64 {
    mpidr & AFFINITY_MASK
}
