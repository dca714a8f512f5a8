// SPDX-License-Identifier: Apache-2.0
//! The system counter, and waits that end.

use super::barrier;
use baton_sysreg::read_sysreg;
use thiserror::Error;

/// Returns the system counter (`CNTPCT_EL0`) in ticks, read in program order.
pub fn now() -> u64 {
    barrier::isb();
    // SAFETY: CNTPCT_EL0 can be read at EL2 whatever the guest set up.
    unsafe { read_sysreg!(CNTPCT_EL0) }
}

/// Returns the ticks a second of the system counter (`CNTFRQ_EL0`), at least 1.
pub fn frequency() -> u64 {
    // SAFETY: CNTFRQ_EL0 can be read at any exception level above EL0.
    let hertz = unsafe { read_sysreg!(CNTFRQ_EL0) };
    hertz.max(1)
}

/// Returns `us` microseconds as ticks of the system counter, rounded up.
pub fn ticks_from_us(us: u64) -> u64 {
    u64::try_from((u128::from(us) * u128::from(frequency())).div_ceil(1_000_000))
        .unwrap_or(u64::MAX)
}

/// Returns `ticks` of the system counter as microseconds, rounded down.
pub fn us_from_ticks(ticks: u64) -> u64 {
    u64::try_from(u128::from(ticks) * 1_000_000 / u128::from(frequency())).unwrap_or(u64::MAX)
}

/// What was waited for did not happen in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it did not happen within {waited_us} us")]
pub struct TimedOut {
    /// How long was waited, in microseconds.
    pub waited_us: u64,
}

/// A point in time up to which to wait.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    start: u64,
    ticks: u64,
}

impl Deadline {
    /// Returns the point in time that is `us` microseconds from now.
    pub fn after_us(us: u64) -> Self {
        Self {
            start: now(),
            ticks: ticks_from_us(us),
        }
    }

    /// Returns whether it has passed.
    pub fn passed(&self) -> bool {
        now().wrapping_sub(self.start) > self.ticks
    }
}

/// Polls `done` until it returns true.
///
/// # Errors
///
/// [`TimedOut`] if `done` is still false after `us` microseconds.
pub fn wait_us(us: u64, mut done: impl FnMut() -> bool) -> Result<(), TimedOut> {
    let deadline = Deadline::after_us(us);
    while !done() {
        if deadline.passed() {
            // The last look is taken after the time is up: this CPU may have been held meanwhile.
            return if done() {
                Ok(())
            } else {
                Err(TimedOut { waited_us: us })
            };
        }
        barrier::pause();
    }
    Ok(())
}
