// SPDX-License-Identifier: Apache-2.0
//! The keys of pointer authentication (Arm ARM, D8.10).

use crate::arch::verify::reset_registers;
use crate::vcpu::features::Features;
use baton_core::hw_error::HwError;

/// Forgets the old kernel's keys.
///
/// EL2 has no keys of its own: the monitor must be built without pointer authentication.
///
/// # Errors
///
/// [`HwError::Sticky`] with the first register that did not take its value.
pub fn reset(features: &Features) -> Result<(), HwError> {
    let mut result = Ok(());
    if features.address_auth() {
        // SAFETY: The registers are there with address authentication, which EL2 does not use.
        result = unsafe {
            reset_registers!(
                APIAKeyLo_EL1 = 0;
                APIAKeyHi_EL1 = 0;
                APIBKeyLo_EL1 = 0;
                APIBKeyHi_EL1 = 0;
                APDAKeyLo_EL1 = 0;
                APDAKeyHi_EL1 = 0;
                APDBKeyLo_EL1 = 0;
                APDBKeyHi_EL1 = 0;
            )
        };
    }
    if features.generic_auth() {
        // SAFETY: The registers are there with generic authentication, which EL2 does not use.
        result = result.and(unsafe {
            reset_registers!(
                APGAKeyLo_EL1 = 0;
                APGAKeyHi_EL1 = 0;
            )
        });
    }
    result
}

#[cfg(test)]
mod tests;
