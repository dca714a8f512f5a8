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

/// What the counter has at most (FEAT_CNTSC, and every counter from Armv8.6 on): waits by it are too
/// long rather than too short where firmware has not set `CNTFRQ_EL0`.
const FASTEST_HZ: u64 = 1_000_000_000;

/// Returns the ticks a second of the system counter (`CNTFRQ_EL0`).
pub fn frequency() -> u64 {
    // SAFETY: CNTFRQ_EL0 can be read at any exception level above EL0.
    match unsafe { read_sysreg!(CNTFRQ_EL0) } {
        0 => FASTEST_HZ,
        hertz => hertz,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use baton_sysreg::fake;

    /// A counter of 62.5 MHz, as QEMU's.
    fn counter() {
        fake::reset();
        fake::set("CNTFRQ_EL0", 62_500_000);
    }

    #[test]
    fn ticks_are_rounded_up_and_microseconds_down() {
        counter();
        assert_eq!(ticks_from_us(1), 63);
        assert_eq!(us_from_ticks(63), 1);
        assert_eq!(us_from_ticks(62), 0);
        assert_eq!(ticks_from_us(u64::MAX), u64::MAX, "longer than the counter");
    }

    #[test]
    fn a_counter_without_a_frequency_ends_every_wait() {
        fake::reset();
        assert_eq!(wait_us(1, || false), Err(TimedOut { waited_us: 1 }));
    }

    #[test]
    fn a_wait_ends_when_it_is_done() {
        counter();
        let mut left = 10;
        let done = || {
            left -= 1;
            left == 0
        };
        assert_eq!(wait_us(1_000_000, done), Ok(()));
        assert_eq!(fake::get("CNTPCT_EL0"), 10, "looks at the counter");
    }

    #[test]
    fn a_wait_in_vain_is_as_long_as_it_was_to_be() {
        counter();
        assert_eq!(wait_us(10, || false), Err(TimedOut { waited_us: 10 }));
        // 10 us are 625 ticks, each of them a look at the fake counter.
        assert_eq!(fake::get("CNTPCT_EL0"), 1 + 625 + 1);
    }

    #[test]
    fn what_is_done_at_the_last_look_is_done() {
        counter();
        // This CPU is held while it looks, until the time is up.
        let mut looks = 0;
        let done = || {
            looks += 1;
            fake::set("CNTPCT_EL0", 1_000_000);
            looks == 2
        };
        assert_eq!(wait_us(1, done), Ok(()));
    }

    #[test]
    fn the_counter_is_read_in_program_order() {
        counter();
        now();
        assert_eq!(fake::instructions(), ["isb"]);
    }
}
