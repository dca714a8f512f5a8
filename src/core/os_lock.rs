// SPDX-License-Identifier: Apache-2.0
//! The OS lock and the OS double lock, as a guest has them (Arm ARM, H6 and D24.3).
//!
//! With the OS lock held, `MDSCR_EL1` and `OSECCR_EL1` write to an external debugger's registers: a guest could
//! set `EDSCR.HDE`, and have a breakpoint halt its CPU at EL2. So the CPU's own lock stays open while a guest
//! runs, `MDCR_EL2.TDOSA` traps all that shows it, and what the guest is answered is kept here.
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A register that `MDCR_EL2.TDOSA` traps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// `OSLAR_EL1`, which can be written only.
    Oslar,
    /// `OSLSR_EL1`, which can be read only.
    Oslsr,
    /// `OSDLR_EL1`.
    Osdlr,
    /// `DBGPRCR_EL1`.
    Dbgprcr,
}

/// An access that trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// What is accessed.
    pub register: Register,
    /// Whether it is read, by MRS.
    pub is_read: bool,
    /// The number of the general register; 31 is XZR.
    pub rt: usize,
}

impl Access {
    /// Decodes `ESR_EL2.ISS` of a trapped MSR or MRS (Arm ARM, ESR_EL2, EC 0x18).
    ///
    /// Returns `None` if it is of another register, or UNDEFINED.
    pub const fn decode(iss: u64) -> Option<Self> {
        let encoding = [
            iss >> 20 & 3,   // Op0
            iss >> 14 & 7,   // Op1
            iss >> 10 & 0xf, // CRn
            iss >> 1 & 0xf,  // CRm
            iss >> 17 & 7,   // Op2
        ];
        let is_read = iss & 1 != 0;
        let register = match (encoding, is_read) {
            ([2, 0, 1, 0, 4], false) => Register::Oslar,
            ([2, 0, 1, 1, 4], true) => Register::Oslsr,
            ([2, 0, 1, 3, 4], _) => Register::Osdlr,
            ([2, 0, 1, 4, 4], _) => Register::Dbgprcr,
            _ => return None,
        };
        Some(Self {
            register,
            is_read,
            rt: (iss >> 5 & 0x1f) as usize,
        })
    }
}

/// `OSLSR_EL1.OSLM`: there is an OS lock.
const OSLM: u64 = 1 << 3;
/// Where `OSLSR_EL1.OSLK` is.
const OSLK: u32 = 1;
/// The one bit of `OSLAR_EL1` (OSLK) and `OSDLR_EL1` (DLK).
const LOCK: u64 = 1;

/// The locks of one CPU, which alone accesses them.
#[derive(Debug)]
pub struct OsLocks {
    oslk: AtomicBool,
    dlk: AtomicBool,
}

impl OsLocks {
    /// Returns locks as after a reset: the OS lock is held.
    pub const fn new() -> Self {
        Self {
            oslk: AtomicBool::new(true),
            dlk: AtomicBool::new(false),
        }
    }

    /// Gives them their state after a reset.
    pub fn reset(&self) {
        self.oslk.store(true, Relaxed);
        self.dlk.store(false, Relaxed);
    }

    /// Returns what a guest reads. `DBGPRCR_EL1` has nothing: it has a power controller keep a CPU for an
    /// external debugger.
    pub fn read(&self, register: Register) -> u64 {
        match register {
            Register::Oslsr => OSLM | u64::from(self.oslk.load(Relaxed)) << OSLK,
            Register::Osdlr => u64::from(self.dlk.load(Relaxed)),
            Register::Oslar | Register::Dbgprcr => 0,
        }
    }

    /// Takes what a guest writes, on a CPU that has `FEAT_DoubleLock` or not.
    pub fn write(&self, register: Register, value: u64, has_double_lock: bool) {
        let held = value & LOCK != 0;
        match register {
            Register::Oslar => self.oslk.store(held, Relaxed),
            Register::Osdlr => self.dlk.store(held && has_double_lock, Relaxed),
            Register::Oslsr | Register::Dbgprcr => {}
        }
    }
}

impl Default for OsLocks {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ISS of `msr oslar_el1, x3`, and so on (Arm ARM, ESR_EL2, EC 0x18).
    const MSR_OSLAR_X3: u64 = 0x28_0460;
    const MRS_X9_OSLSR: u64 = 0x28_0523;
    const MSR_OSDLR_XZR: u64 = 0x28_07e6;
    const MRS_X0_DBGPRCR: u64 = 0x28_0409;

    #[test]
    fn each_register_is_known_by_its_encoding() {
        for (iss, register, is_read, rt) in [
            (MSR_OSLAR_X3, Register::Oslar, false, 3),
            (MRS_X9_OSLSR, Register::Oslsr, true, 9),
            (MSR_OSDLR_XZR, Register::Osdlr, false, 31),
            (MRS_X0_DBGPRCR, Register::Dbgprcr, true, 0),
        ] {
            let expected = Access {
                register,
                is_read,
                rt,
            };
            assert_eq!(Access::decode(iss), Some(expected), "{iss:#x}");
        }
    }

    #[test]
    fn what_is_undefined_or_another_register_is_not() {
        let (mrs_oslar, msr_oslsr) = (MSR_OSLAR_X3 | 1, MRS_X9_OSLSR & !1);
        // MDSCR_EL1, and OSLAR_EL1 with another Op0, Op1 and Op2.
        let mdscr = 0x24_0004;
        let others = [1 << 20, 1 << 14, 1 << 17].map(|bit| MSR_OSLAR_X3 ^ bit);
        for iss in [mrs_oslar, msr_oslsr, mdscr].into_iter().chain(others) {
            assert_eq!(Access::decode(iss), None, "{iss:#x}");
        }
    }

    #[test]
    fn the_os_lock_is_what_was_written_last() {
        let locks = OsLocks::new();
        // OSLM 0b10, OSLK.
        assert_eq!(locks.read(Register::Oslsr), 0b1010, "after a reset");
        locks.write(Register::Oslar, 0, true);
        assert_eq!(locks.read(Register::Oslsr), 0b1000);
        locks.write(Register::Oslar, !0, true);
        assert_eq!(locks.read(Register::Oslsr), 0b1010);
        locks.write(Register::Oslar, 0b10, true);
        assert_eq!(locks.read(Register::Oslsr), 0b1000, "bit 0 alone counts");
    }

    #[test]
    fn the_double_lock_is_there_with_its_feature_alone() {
        let locks = OsLocks::new();
        locks.write(Register::Osdlr, !0, false);
        assert_eq!(locks.read(Register::Osdlr), 0);
        locks.write(Register::Osdlr, !0, true);
        assert_eq!(locks.read(Register::Osdlr), 1);
        assert_eq!(locks.read(Register::Oslsr), 0b1010, "it is another one");
    }

    #[test]
    fn after_a_reset_the_os_lock_is_held_and_the_double_lock_is_not() {
        let locks = OsLocks::new();
        locks.write(Register::Oslar, 0, true);
        locks.write(Register::Osdlr, 1, true);
        locks.reset();
        assert_eq!(locks.read(Register::Oslsr), 0b1010);
        assert_eq!(locks.read(Register::Osdlr), 0);
    }

    #[test]
    fn no_cpu_is_kept_in_power_for_a_debugger() {
        let locks = OsLocks::new();
        locks.write(Register::Dbgprcr, !0, true);
        assert_eq!(locks.read(Register::Dbgprcr), 0);
    }
}
