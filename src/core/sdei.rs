// SPDX-License-Identifier: Apache-2.0
//! SDEI, by which firmware at EL3 calls its client, whatever that has masked (DEN0054).
#![forbid(unsafe_code)]

use core::fmt::{Display, Formatter};
use thiserror::Error;

/// Function ids (DEN0054, 5.1): fast calls of SMC64.
pub mod id {
    /// SDEI_VERSION.
    pub const VERSION: u32 = 0xc400_0020;
    /// SDEI_EVENT_REGISTER.
    pub const EVENT_REGISTER: u32 = 0xc400_0021;
    /// SDEI_EVENT_ENABLE.
    pub const EVENT_ENABLE: u32 = 0xc400_0022;
    /// SDEI_EVENT_DISABLE.
    pub const EVENT_DISABLE: u32 = 0xc400_0023;
    /// SDEI_EVENT_COMPLETE.
    pub const EVENT_COMPLETE: u32 = 0xc400_0025;
    /// SDEI_EVENT_COMPLETE_AND_RESUME.
    pub const EVENT_COMPLETE_AND_RESUME: u32 = 0xc400_0026;
    /// SDEI_EVENT_ROUTING_SET.
    pub const EVENT_ROUTING_SET: u32 = 0xc400_002a;
    /// SDEI_PE_UNMASK.
    pub const PE_UNMASK: u32 = 0xc400_002c;
    /// SDEI_INTERRUPT_BIND.
    pub const INTERRUPT_BIND: u32 = 0xc400_002d;
}

/// Of EVENT_REGISTER and EVENT_ROUTING_SET: the event goes to the CPU that is named.
pub const TO_ONE_CPU: u64 = 1;

/// An event, to which an interrupt is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event(pub u64);

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a call returns instead of a result (DEN0054, 5.1).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SdeiError {
    /// There is no SDEI, or none for EL2.
    #[error("firmware has no SDEI for EL2")]
    NotSupported,
    /// A parameter is wrong: an interrupt that may not be bound.
    #[error("INVALID_PARAMETERS")]
    InvalidParameters,
    /// The event, or the interrupt, is not in a state for that, or not the caller's.
    #[error("DENIED")]
    Denied,
    /// The event's handler runs.
    #[error("PENDING")]
    Pending,
    /// Firmware has no event left for an interrupt that is bound.
    #[error("OUT_OF_RESOURCE")]
    OutOfResource,
    /// Another value.
    #[error("{0}")]
    Unknown(i64),
}

/// Returns what a call that returned `x0` says.
///
/// # Errors
///
/// [`SdeiError`].
pub fn result(x0: u64) -> Result<u64, SdeiError> {
    match x0 as i64 {
        0.. => Ok(x0),
        -1 => Err(SdeiError::NotSupported),
        -2 => Err(SdeiError::InvalidParameters),
        -3 => Err(SdeiError::Denied),
        -5 => Err(SdeiError::Pending),
        -10 => Err(SdeiError::OutOfResource),
        other => Err(SdeiError::Unknown(other)),
    }
}

/// Returns major and minor version in what SDEI_VERSION has returned.
pub fn version(returned: u64) -> (u64, u64) {
    (returned >> 48 & 0x7fff, returned >> 32 & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_errors_from_results() {
        assert_eq!(result(804), Ok(804));
        assert_eq!(result(1 << 48), Ok(1 << 48));
        for (code, error) in [
            (-1, SdeiError::NotSupported),
            (-2, SdeiError::InvalidParameters),
            (-3, SdeiError::Denied),
            (-5, SdeiError::Pending),
            (-10, SdeiError::OutOfResource),
            (-4, SdeiError::Unknown(-4)),
        ] {
            assert_eq!(result(code as u64), Err(error));
        }
    }

    #[test]
    fn reads_the_version() {
        assert_eq!(version(1 << 48), (1, 0));
        assert_eq!(version(1 << 48 | 1 << 32 | 0xffff_ffff), (1, 1));
    }
}
