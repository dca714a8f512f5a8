// SPDX-License-Identifier: Apache-2.0
//! Floating point, SVE and SME: registers in which the old kernel's last process left its data.

use crate::arch::verify::{expect, reset_registers};
use crate::arch::{barrier, routines};
use crate::vcpu::features::Features;
use baton_core::hw_error::HwError;

/// Clears all vector state at every length, leaves streaming mode and switches ZA and ZT0 off.
///
/// [`configure`](super::el2::configure) must have run: it opens these registers to EL2, and the
/// longest vectors. The monitor itself is built without floating point, so nothing is lost.
///
/// # Errors
///
/// [`HwError::Sticky`] with the first register that did not take its value.
pub fn reset(features: &Features) -> Result<(), HwError> {
    let mut result = Ok(());
    if features.sme() {
        result = leave_streaming();
    }
    if features.fp() {
        result = result.and(clear_v(features));
    }
    if features.sve() {
        result = result.and(clear_z());
    }
    result
}

fn leave_streaming() -> Result<(), HwError> {
    // SAFETY: The registers are there with SME. Clearing SVCR.SM and SVCR.ZA also clears the
    // vectors and ZA, which the monitor does not use.
    unsafe {
        reset_registers!(
            SVCR = 0;
            SMCR_EL1 = 0;
            SMPRI_EL1 = 0;
            TPIDR2_EL0 = 0;
        )
    }
}

fn clear_v(features: &Features) -> Result<(), HwError> {
    // SAFETY: The monitor is built without floating point: no value of its own is in V0 to V31.
    let mut result = expect("V0-V31", 0, u64::MAX, unsafe { routines::clear_v() });
    // SAFETY: The registers are there with floating point, which the monitor does not use.
    result = result.and(unsafe { reset_registers!(FPCR = 0; FPSR = 0;) });
    if features.fpmr() {
        // SAFETY: FPMR is there with FEAT_FPMR.
        result = result.and(unsafe { reset_registers!(FPMR = 0;) });
    }
    result
}

fn clear_z() -> Result<(), HwError> {
    // SAFETY: As for V0 to V31. ZCR_EL2 gives EL2 the longest vectors, and ZCR_EL1 can only shorten
    // them: what is clear here is clear at every length.
    let result = expect("Z0-Z31", 0, u64::MAX, unsafe { routines::clear_z() });
    barrier::isb();
    // SAFETY: ZCR_EL1 is there with SVE, and limits EL1 and EL0 alone.
    result.and(unsafe { reset_registers!(ZCR_EL1 = 0;) })
}

#[cfg(test)]
mod tests;
