// SPDX-License-Identifier: Apache-2.0
//! The power of a redistributor. Of a GIC-600 and later each is off until its own CPU has brought it
//! up, and has no registers till then but those that say so (Arm 100336, 3.6.1 and 4.4, GICR_PWRR).
//!
//! Where there are two security states `GICR_PWRR` and `GICR_WAKER` are firmware's, which brings the
//! redistributor up as it starts the CPU. They are RAZ/WI here, and so read as on and awake.

use super::redistributor::Redistributor;
use super::{RWP_US, wait_clear};
use arm_gic::gicv3::registers::{GicrIidr, GicrPwrr, Waker};
use baton_core::hw_error::HwError;
use safe_mmio::{field, field_shared};

/// Those that have `GICR_PWRR`; in others its place is their own.
const GATED: [u32; 3] = [
    GicrIidr::MODEL_ID_ARM_GIC_600,
    GicrIidr::MODEL_ID_ARM_GIC_600AE,
    GicrIidr::MODEL_ID_ARM_GIC_700,
];

impl Redistributor {
    /// Returns whether its other registers can be reached.
    pub fn has_power(&mut self) -> bool {
        let gicr = self.gicr();
        let model = field_shared!(gicr, iidr).read().model_id();
        !GATED.contains(&model) || is_on(field_shared!(gicr, pwrr).read())
    }

    /// Brings the redistributor into power. To be called on its own CPU.
    ///
    /// # Errors
    ///
    /// [`HwError::Timeout`] after 10 ms.
    pub fn power_up(&mut self) -> Result<(), HwError> {
        if self.has_power() {
            return Ok(());
        }
        let mut gicr = self.gicr();
        wait_clear(
            "GICR_PWRR",
            RWP_US,
            || {
                let pwrr = field_shared!(gicr, pwrr).read();
                // A write while the group is on its way to another state may be ignored.
                if !is_on(pwrr) && is_settled(pwrr) {
                    field!(gicr, pwrr).write(GicrPwrr::empty());
                }
                pwrr.bits().into()
            },
            |pwrr| !is_on(GicrPwrr::from_bits_retain(pwrr as u32)),
        )
    }

    /// Wakes the redistributor: it takes part in what concerns its CPU's interrupts. To be called on
    /// its own CPU.
    ///
    /// # Errors
    ///
    /// [`HwError::Timeout`] after 10 ms.
    pub(super) fn wake(&mut self) -> Result<(), HwError> {
        let mut gicr = self.gicr();
        let waker = field_shared!(gicr, waker).read();
        if waker.contains(Waker::PROCESSOR_SLEEP) {
            field!(gicr, waker).write(waker - Waker::PROCESSOR_SLEEP);
        }
        wait_clear(
            "GICR_WAKER",
            RWP_US,
            || field_shared!(gicr, waker).read().bits().into(),
            |waker| waker & u64::from(Waker::CHILDREN_ASLEEP.bits()) != 0,
        )
    }
}

/// Returns whether the CPU has asked for power, and has got it.
fn is_on(pwrr: GicrPwrr) -> bool {
    !pwrr.contains(GicrPwrr::RedistributorPowerDown)
}

/// Returns whether the redistributors of the group have reached the state that was asked for.
fn is_settled(pwrr: GicrPwrr) -> bool {
    pwrr.contains(GicrPwrr::RedistributorGroupPowerDown)
        == pwrr.contains(GicrPwrr::RedistributorGroupPoweredOff)
}

#[cfg(test)]
mod tests;
