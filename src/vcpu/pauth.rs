//! The keys of pointer authentication (Arm ARM, D8.10).

use super::features::Features;
use super::verify::reset_registers;
use crate::teardown::error::StepError;

/// Forgets the old kernel's keys.
///
/// EL2 has no keys of its own: the monitor must be built without pointer authentication.
///
/// # Errors
///
/// [`StepError::Sticky`] with the first register that did not take its value.
pub fn reset() -> Result<(), StepError> {
    let features = Features::of_this_cpu();
    let mut result = Ok(());
    if features.address_auth() {
        // SAFETY: The registers are there with address authentication, which EL2 does not use.
        result = unsafe {
            reset_registers!(
                "S3_0_C2_C1_0" as "APIAKeyLo_EL1" = 0;
                "S3_0_C2_C1_1" as "APIAKeyHi_EL1" = 0;
                "S3_0_C2_C1_2" as "APIBKeyLo_EL1" = 0;
                "S3_0_C2_C1_3" as "APIBKeyHi_EL1" = 0;
                "S3_0_C2_C2_0" as "APDAKeyLo_EL1" = 0;
                "S3_0_C2_C2_1" as "APDAKeyHi_EL1" = 0;
                "S3_0_C2_C2_2" as "APDBKeyLo_EL1" = 0;
                "S3_0_C2_C2_3" as "APDBKeyHi_EL1" = 0;
            )
        };
    }
    if features.generic_auth() {
        // SAFETY: The registers are there with generic authentication, which EL2 does not use.
        result = result.and(unsafe {
            reset_registers!(
                "S3_0_C2_C3_0" as "APGAKeyLo_EL1" = 0;
                "S3_0_C2_C3_1" as "APGAKeyHi_EL1" = 0;
            )
        });
    }
    result
}
