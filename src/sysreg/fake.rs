// SPDX-License-Identifier: Apache-2.0
//! System registers of a CPU that is not there: what a test puts in, and what came of it.
//!
//! Each thread has its own, so tests can run side by side. A register holds what was written or
//! [`set`] last, 0 if nothing was; [`fix`] takes bits out of that.

use std::cell::RefCell;
use std::collections::HashMap;

#[derive(Default)]
struct Cpu {
    registers: HashMap<&'static str, Register>,
    writes: Vec<(&'static str, u64)>,
}

/// What was put in, and which bits are fixed to what.
#[derive(Default)]
struct Register {
    value: Option<u64>,
    fixed_mask: u64,
    fixed: u64,
}

impl Register {
    fn read_or(&self, otherwise: u64) -> u64 {
        self.value.unwrap_or(otherwise) & !self.fixed_mask | self.fixed & self.fixed_mask
    }
}

thread_local! {
    static CPU: RefCell<Cpu> = RefCell::default();
}

fn with<T>(name: &'static str, access: impl FnOnce(&mut Register) -> T) -> T {
    CPU.with_borrow_mut(|cpu| access(cpu.registers.entry(name).or_default()))
}

/// Forgets every value, every fixed bit and every write of this thread.
pub fn reset() {
    CPU.take();
}

/// Gives a register a value, as if it had come so; [`writes`] does not show it.
pub fn set(name: &'static str, value: u64) {
    with(name, |register| register.value = Some(value));
}

/// Returns what a read of the register gives.
pub fn get(name: &'static str) -> u64 {
    with(name, |register| register.read_or(0))
}

/// Fixes the bits of `mask` to those of `value`: from now on they do not take what is written.
pub fn fix(name: &'static str, mask: u64, value: u64) {
    with(name, |register| {
        register.fixed_mask = mask;
        register.fixed = value;
    });
}

/// Returns what this thread's code wrote, in order: the values as given, fixed bits or not.
pub fn writes() -> Vec<(&'static str, u64)> {
    CPU.with_borrow(|cpu| cpu.writes.clone())
}

/// What `read_sysreg!(NAME)` is on a PC.
///
/// # Safety
///
/// None is needed. It is unsafe so that callers are the same on a PC and on the bare machine.
pub unsafe fn read(name: &'static str) -> u64 {
    get(name)
}

/// What `read_sysreg!(NAME or otherwise)` is on a PC: a register that was never given a value is one
/// that is not there.
///
/// # Safety
///
/// As [`read`].
pub unsafe fn read_or(name: &'static str, otherwise: u64) -> u64 {
    with(name, |register| register.read_or(otherwise))
}

/// What `write_sysreg!(NAME, value)` is on a PC.
///
/// # Safety
///
/// As [`read`].
pub unsafe fn write(name: &'static str, value: u64) {
    set(name, value);
    CPU.with_borrow_mut(|cpu| cpu.writes.push((name, value)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{encoding, read_sysreg, write_sysreg};

    #[test]
    fn a_register_holds_what_was_written_last() {
        // SAFETY: Fakes need none.
        unsafe {
            assert_eq!(read_sysreg!(ICC_PMR_EL1), 0, "nothing was written");
            write_sysreg!(ICC_PMR_EL1, 0xf0);
            write_sysreg!(ICC_IGRPEN1_EL1, 1);
            write_sysreg!(ICC_PMR_EL1, read_sysreg!(ICC_PMR_EL1) | 8);
            assert_eq!(read_sysreg!(ICC_PMR_EL1), 0xf8);
        }
        assert_eq!(get("ICC_IGRPEN1_EL1"), 1);
        assert_eq!(
            writes(),
            [
                ("ICC_PMR_EL1", 0xf0),
                ("ICC_IGRPEN1_EL1", 1),
                ("ICC_PMR_EL1", 0xf8)
            ]
        );
    }

    #[test]
    fn what_a_test_sets_is_read_and_is_no_write() {
        set("ID_AA64PFR0_EL1", 0x11);
        // SAFETY: Fakes need none.
        assert_eq!(unsafe { read_sysreg!(ID_AA64PFR0_EL1) }, 0x11);
        assert_eq!(writes(), []);
    }

    #[test]
    fn fixed_bits_do_not_take() {
        fix("SCTLR_EL1", 0xff0, 0x540);
        assert_eq!(get("SCTLR_EL1"), 0x540);
        // SAFETY: Fakes need none.
        unsafe {
            write_sysreg!(SCTLR_EL1, 0xffff);
            assert_eq!(read_sysreg!(SCTLR_EL1), 0xf54f);
        }
        assert_eq!(writes(), [("SCTLR_EL1", 0xffff)], "as it was written");
        fix("SCTLR_EL1", 0, 0);
        assert_eq!(get("SCTLR_EL1"), 0xffff, "no bit is fixed any more");
    }

    #[test]
    fn a_register_that_is_not_there_reads_as_its_stand_in() {
        // SAFETY: Fakes need none.
        unsafe {
            assert_eq!(read_sysreg!(MDCCINT_EL1 or 7), 7);
            write_sysreg!(MDCCINT_EL1, 0);
            assert_eq!(read_sysreg!(MDCCINT_EL1 or 7), 0, "it was written");
        }
    }

    #[test]
    fn parts_are_one_name() {
        // SAFETY: Fakes need none.
        unsafe {
            write_sysreg!("DBGBCR" 3 "_EL1", 1);
            assert_eq!(read_sysreg!(DBGBCR3_EL1), 1);
            assert_eq!(read_sysreg!("DBGBCR" 3 "_EL1"), 1);
        }
    }

    #[test]
    fn each_thread_has_its_own() {
        set("HCR_EL2", 1);
        let other = std::thread::spawn(|| get("HCR_EL2"));
        assert_eq!(other.join().unwrap(), 0);
        assert_eq!(get("HCR_EL2"), 1);
    }

    #[test]
    fn reset_forgets_all() {
        fix("HCR_EL2", 1, 1);
        // SAFETY: Fakes need none.
        unsafe { write_sysreg!(HCR_EL2, 2) };
        reset();
        assert_eq!(get("HCR_EL2"), 0);
        assert_eq!(writes(), []);
    }

    #[test]
    fn names_that_the_assembler_lacks_have_an_encoding() {
        assert_eq!(encoding!(ZCR_EL1), "S3_0_C1_C2_0");
        assert_eq!(encoding!(ICC_PMR_EL1), "ICC_PMR_EL1");
        assert_eq!(encoding!("DBGBCR" 3 "_EL1"), "DBGBCR3_EL1");
        assert_eq!(
            concat!("mrs {value}, ", encoding!(FPCR)),
            "mrs {value}, S3_3_C4_C4_0"
        );
    }
}
