// SPDX-License-Identifier: Apache-2.0
//! Calls to the monitor and the firmware: SMCCC, PSCI.

use crate::cpu;
use core::arch::asm;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

/// The instruction that makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// `SMC #0`.
    Smc,
    /// `HVC #0`.
    Hvc,
}

/// Return codes of PSCI (DEN0022, section 5.2.2), sign-extended.
pub mod code {
    pub const SUCCESS: i64 = 0;
    pub const NOT_SUPPORTED: i64 = -1;
    pub const INVALID_PARAMETERS: i64 = -2;
    pub const DENIED: i64 = -3;
    pub const ALREADY_ON: i64 = -4;
    pub const ON_PENDING: i64 = -5;
    pub const INTERNAL_FAILURE: i64 = -6;
    pub const NOT_PRESENT: i64 = -7;
    pub const INVALID_ADDRESS: i64 = -9;

    /// `AFFINITY_INFO`: the CPU is on.
    pub const AFFINITY_ON: i64 = 0;
    /// `AFFINITY_INFO`: the CPU is off.
    pub const AFFINITY_OFF: i64 = 1;
    /// `AFFINITY_INFO`: a CPU_ON is under way.
    pub const AFFINITY_ON_PENDING: i64 = 2;
}

static PSCI_BY_HVC: AtomicBool = AtomicBool::new(false);

/// Sets the conduit of [`psci`], from `method` in the device tree's `/psci` node.
pub fn set_psci_conduit(conduit: Conduit) {
    PSCI_BY_HVC.store(conduit == Conduit::Hvc, Relaxed);
}

/// The conduit of [`psci`].
pub fn psci_conduit() -> Conduit {
    if PSCI_BY_HVC.load(Relaxed) {
        Conduit::Hvc
    } else {
        Conduit::Smc
    }
}

/// Makes a call with x1 to x17 and returns x0 to x17.
pub fn all(conduit: Conduit, id: u32, arguments: [u64; 17]) -> [u64; 18] {
    if let Some(this) = cpu::try_current() {
        this.calls.store(this.calls.load(Relaxed) + 1, Relaxed);
    }
    match conduit {
        Conduit::Smc => smccc::smc64(id, arguments),
        Conduit::Hvc => smccc::hvc64(id, arguments),
    }
}

/// Makes a call without arguments that nobody counts, in as few instructions as there can be; returns x0.
pub fn bare(conduit: Conduit, id: u32) -> u64 {
    let mut x0 = u64::from(id);
    macro_rules! call {
        ($instruction:literal) => {
            // SAFETY: a call changes x0 to x17 alone (DEN0028, 2.6), and what it is asked to.
            unsafe {
                asm!(
                    $instruction, inout("x0") x0,
                    out("x1") _, out("x2") _, out("x3") _, out("x4") _, out("x5") _, out("x6") _,
                    out("x7") _, out("x8") _, out("x9") _, out("x10") _, out("x11") _, out("x12") _,
                    out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
                    options(nostack),
                );
            }
        };
    }
    match conduit {
        Conduit::Smc => call!("smc #0"),
        Conduit::Hvc => call!("hvc #0"),
    }
    x0
}

/// Makes a call and returns x0 to x3.
pub fn raw(conduit: Conduit, id: u32, [x1, x2, x3]: [u64; 3]) -> [u64; 4] {
    let mut arguments = [0; 17];
    arguments[..3].copy_from_slice(&[x1, x2, x3]);
    let [x0, x1, x2, x3, ..] = all(conduit, id, arguments);
    [x0, x1, x2, x3]
}

/// Makes a call and returns x0, all of it: an error of a 32-bit call is sign-extended too (DEN0028).
pub fn by(conduit: Conduit, id: u32, arguments: [u64; 3]) -> i64 {
    raw(conduit, id, arguments)[0] as i64
}

/// Makes a PSCI call.
pub fn psci(id: u32, arguments: [u64; 3]) -> i64 {
    by(psci_conduit(), id, arguments)
}

/// Makes a vendor hypervisor call (`baton_abi`).
pub fn vendor(id: u32, arguments: [u64; 3]) -> i64 {
    by(Conduit::Hvc, id, arguments)
}
