// SPDX-License-Identifier: Apache-2.0
//! The timers of EL1 (Arm ARM, D12).

use crate::arch::verify::reset_registers;
use baton_core::hw_error::HwError;

/// Switches the virtual and the physical timer of EL1 off, and takes from EL0 what was given to it.
///
/// `CNTVOFF_EL2` and the timers of EL2 are set by [`configure`](super::el2::configure) and stay.
///
/// # Errors
///
/// [`HwError::Sticky`] with the first register that did not take its value.
pub fn reset() -> Result<(), HwError> {
    // ISTATUS says whether the condition holds, timer on or off.
    const CTL: u64 = 0b011;
    // SAFETY: The registers are there on every CPU; the monitor reads the counter, which stays.
    unsafe {
        reset_registers!(
            CNTV_CTL_EL0 = 0, mask CTL;
            CNTP_CTL_EL0 = 0, mask CTL;
            CNTV_CVAL_EL0 = 0;
            CNTP_CVAL_EL0 = 0;
            CNTKCTL_EL1 = 0;
        )
    }
}

#[cfg(test)]
mod tests;
