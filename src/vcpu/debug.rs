// SPDX-License-Identifier: Apache-2.0
//! Self-hosted debug: breakpoints, watchpoints, single step, locks (Arm ARM, D2 and H6).

use crate::arch::barrier;
use crate::arch::probe::debug_authentication;
use crate::arch::verify::{expect, reset_registers};
use crate::vcpu::features::Features;
use baton_core::hw_error::HwError;
use baton_sysreg::{read_sysreg, write_sysreg};

/// Breakpoints, and watchpoints, in a bank; `MDSELR_EL1` selects the bank.
const BANK: u64 = 16;

/// `DBGBCR<n>_EL1.E` and `DBGWCR<n>_EL1.E`. Other fields of them may be fixed.
const ENABLE: u64 = 1;

/// The mask of registers that are not checked: QEMU ignores a read of them, so that what is read is
/// what was in the destination before.
const UNREADABLE: u64 = 0;

/// Removes every breakpoint and watchpoint, ends single step, and opens the locks: what the guest sees of them
/// is not the CPU's (`baton_core::os_lock`).
///
/// What belongs to an external debugger stays: the exceptions that it catches (`OSECCR_EL1`, a view
/// of `EDECCR`), and the claim tags, by which it and software take turns.
///
/// # Errors
///
/// [`HwError::Sticky`] with the first register that did not take its value.
pub fn reset(features: &Features) -> Result<(), HwError> {
    // SAFETY: The registers are there on every CPU, and govern EL1 and EL0.
    let mut result = unsafe {
        // With the OS lock held, MDSCR_EL1 writes to an external debugger's EDSCR.
        write_sysreg!(OSLAR_EL1, 0);
        barrier::isb();
        let switches = reset_registers!(
            MDSCR_EL1 = 0;
            MDCCINT_EL1 = 0, mask UNREADABLE;
        );
        // OSLSR_EL1.OSLK.
        switches.and(expect("OSLSR_EL1", 0, 1 << 1, read_sysreg!(OSLSR_EL1)))
    };
    if features.double_lock() {
        // SAFETY: OSDLR_EL1 is there with FEAT_DoubleLock, and shuts out external debug alone.
        result = result.and(unsafe { reset_registers!(OSDLR_EL1 = 0;) });
    }
    if features.aarch32_el1() {
        // SAFETY: DBGVCR32_EL2 is there where EL1 can be AArch32, and without effect elsewhere.
        result = result.and(unsafe { reset_registers!(DBGVCR32_EL2 = 0, mask UNREADABLE;) });
    }
    for number in 0..features.breakpoints() {
        result = result.and(breakpoint(features, number));
    }
    for number in 0..features.watchpoints() {
        result = result.and(watchpoint(features, number));
    }
    if features.debug_banks() {
        // SAFETY: MDSELR_EL1 is there with FEAT_Debugv8p9.
        result = result.and(unsafe { reset_registers!(MDSELR_EL1 = 0;) });
    }
    result
}

/// Returns whether external debug may halt this CPU at EL2 and EL1 (`DBGAUTHSTATUS_EL1.NSID`): `DBGEN` is high.
pub fn may_be_halted() -> bool {
    const NSID: u64 = 3;
    debug_authentication() & NSID == NSID
}

/// Selects the bank of the breakpoint or watchpoint `number`; returns its place in the bank.
fn select(features: &Features, number: u64) -> u64 {
    if features.debug_banks() && number.is_multiple_of(BANK) {
        // SAFETY: MDSELR_EL1 is there with FEAT_Debugv8p9; its BANK field is bits 5 and 4.
        unsafe { write_sysreg!(MDSELR_EL1, (number / BANK) << 4) };
        barrier::isb();
    }
    number % BANK
}

/// Clears a control register and its value register, and reads both back.
macro_rules! clear_pair {
    ($number:expr, $control:literal, $value:literal) => {
        clear_pair!($number, $control, $value: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    ($number:expr, $control:literal, $value:literal: $($n:literal)+) => {
        match $number {
            // SAFETY: The ID registers count this pair. With MDCR_EL2.TDE clear it concerns EL1 and
            // EL0 alone.
            $($n => unsafe {
                write_sysreg!($control $n "_EL1", 0);
                write_sysreg!($value $n "_EL1", 0);
                barrier::isb();
                (
                    read_sysreg!($control $n "_EL1"),
                    read_sysreg!($value $n "_EL1"),
                )
            },)+
            _ => (0, 0),
        }
    };
}

fn breakpoint(features: &Features, number: u64) -> Result<(), HwError> {
    let (control, value) = clear_pair!(select(features, number), "DBGBCR", "DBGBVR");
    expect("DBGBCR<n>_EL1", 0, ENABLE, control).and(expect("DBGBVR<n>_EL1", 0, u64::MAX, value))
}

fn watchpoint(features: &Features, number: u64) -> Result<(), HwError> {
    let (control, value) = clear_pair!(select(features, number), "DBGWCR", "DBGWVR");
    expect("DBGWCR<n>_EL1", 0, ENABLE, control).and(expect("DBGWVR<n>_EL1", 0, u64::MAX, value))
}

#[cfg(test)]
mod tests;
