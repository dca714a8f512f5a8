// SPDX-License-Identifier: Apache-2.0
//! The system counter, and waits that end.

use super::barrier;
use arm_sysregs::el2::registers::CnthctlEl2;
use baton_sysreg::{read_sysreg, write_sysreg};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use thiserror::Error;

/// Returns the system counter (`CNTPCT_EL0`) in ticks, read in program order.
pub fn now() -> u64 {
    barrier::isb();
    // SAFETY: CNTPCT_EL0 can be read at EL2 whatever the guest set up.
    agreed(|| unsafe { read_sysreg!(CNTPCT_EL0) }, frequency() >> CLOSE)
}

/// Two readings of the counter agree if no more than 2^-CLOSE seconds (61 us) lie between them.
const CLOSE: u32 = 14;
/// How often the counter is read at most. Of those that go wrong, it is Allwinner's that does so for longest,
/// for three ticks of 24 MHz (Linux, `arm_arch_timer.c`: `sun50i_a64_read_cntpct_el0`).
const READINGS: u32 = 150;

/// Reads a counter until two readings agree: some show a wrong value now and then, while bits of it change
/// (`Workaround::AgreeingReadings`; NXP's A-008585, HiSilicon's 161010101, Allwinner's A64).
fn agreed(read: impl Fn() -> u64, close: u64) -> u64 {
    let mut last = read();
    for _ in 1..READINGS {
        let next = read();
        if next.wrapping_sub(last) <= close && !is_rolling_over(next) {
            return next;
        }
        last = next;
    }
    last
}

/// Whether the low bits are all ones or all zeros, as the A64 shows them for longer than two readings take.
fn is_rolling_over(counter: u64) -> bool {
    counter.wrapping_add(1) & 0x1ff <= 1
}

/// What the counter has at most (FEAT_CNTSC, and every counter from Armv8.6 on): waits by it are too
/// long rather than too short where firmware has not set `CNTFRQ_EL0`.
const FASTEST_HZ: u64 = 1_000_000_000;

/// What the description of the machine has in place of `CNTFRQ_EL0`, or 0. Every wait goes by it, those before
/// there is a machine and those of a panic too.
static DESCRIBED_HZ: AtomicU64 = AtomicU64::new(0);

/// Has the counter's frequency be `hertz` from here on, whatever `CNTFRQ_EL0` says.
pub fn set_frequency(hertz: u64) {
    DESCRIBED_HZ.store(hertz, Relaxed);
}

/// Returns the ticks a second of the system counter.
pub fn frequency() -> u64 {
    // SAFETY: CNTFRQ_EL0 can be read at any exception level above EL0.
    first_known(DESCRIBED_HZ.load(Relaxed), unsafe {
        read_sysreg!(CNTFRQ_EL0)
    })
}

fn first_known(described: u64, set_by_firmware: u64) -> u64 {
    match (described, set_by_firmware) {
        (0, 0) => FASTEST_HZ,
        (0, hertz) | (hertz, _) => hertz,
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

/// Waits for an event, for 2^16 ticks of the counter at most: 2.6 ms at 25 MHz, 66 us at 1 GHz.
pub fn wfe_for_a_tick() {
    // An event each time that bit 15 becomes 1 (Arm ARM, CNTHCTL_EL2.EVNTI).
    const EVENTS: u64 = CnthctlEl2::EVNTEN.bits() | 15 << CnthctlEl2::EVNTI_SHIFT;
    // SAFETY: The event stream ends waits that may end by themselves, and is off again for the guest.
    unsafe {
        let quiet = read_sysreg!(CNTHCTL_EL2);
        write_sysreg!(CNTHCTL_EL2, quiet | EVENTS);
        barrier::isb();
        barrier::wfe();
        write_sysreg!(CNTHCTL_EL2, quiet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_sysreg::fake;
    use core::cell::Cell;

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
    fn the_description_is_believed_rather_than_firmware() {
        assert_eq!(first_known(24_000_000, 62_500_000), 24_000_000);
        assert_eq!(first_known(24_000_000, 0), 24_000_000);
        assert_eq!(first_known(0, 62_500_000), 62_500_000);
        assert_eq!(first_known(0, 0), FASTEST_HZ);
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
        // A look at the counter is two readings, each a tick.
        assert_eq!(fake::get("CNTPCT_EL0"), 2 * 10, "readings of the counter");
    }

    #[test]
    fn a_wait_in_vain_is_as_long_as_it_was_to_be() {
        counter();
        assert_eq!(wait_us(10, || false), Err(TimedOut { waited_us: 10 }));
        // 10 us are 625 ticks, and a look at the fake counter takes two.
        let ticks = fake::get("CNTPCT_EL0");
        assert!((626..=626 + 6).contains(&ticks), "waited for {ticks} ticks");
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

    /// Returns what is made of these readings of a counter of 24 MHz, and how many were taken.
    fn of_readings(readings: &[u64]) -> (u64, usize) {
        let taken = Cell::new(0);
        let read = || {
            taken.set(taken.get() + 1);
            readings[taken.get() - 1]
        };
        (agreed(read, 24_000_000 >> CLOSE), taken.get())
    }

    #[test]
    fn two_readings_are_enough_of_a_counter_that_counts() {
        assert_eq!(of_readings(&[1000, 1000]), (1000, 2), "within a tick");
        assert_eq!(of_readings(&[1000, 1003]), (1003, 2));
        assert_eq!(of_readings(&[0x1fd, 0x1fe]), (0x1fe, 2));
        assert_eq!(of_readings(&[u64::MAX - 5, 5]), (5, 2), "past its end");
    }

    #[test]
    fn a_wrong_reading_is_not_taken() {
        // Cortex-A73, 858921: either half of the counter is ahead of the other.
        let (before, behind) = (0xffff_fffe, 0x1_0000_0002);
        assert_eq!(
            of_readings(&[before, 0x1_ffff_ffff, behind, behind]),
            (behind, 4)
        );
        assert_eq!(of_readings(&[0x1_ffff_ffff, behind, behind]), (behind, 3));
        // NXP, A-008585, and HiSilicon, 161010101: any bits.
        assert_eq!(
            of_readings(&[0x1234_5678, 0x1a34_5678, 0x1234_5679, 0x1234_5679]).0,
            0x1234_5679
        );
        assert_eq!(
            of_readings(&[0x5678, 0x5000, 0x5679, 0x5679]).0,
            0x5679,
            "back"
        );
        // Allwinner: 0x7ff, then 0xfff or 0, then 0x800, and the same wrong one several times.
        assert_eq!(
            of_readings(&[0xffe, 0xfff, 0xfff, 0xfff, 0x802, 0x803]),
            (0x803, 6)
        );
        assert_eq!(of_readings(&[0x7fe, 0, 0, 0, 0x802, 0x803]), (0x803, 6));
    }

    #[test]
    fn a_counter_that_never_agrees_is_not_read_for_ever() {
        let taken = Cell::new(0);
        let read = || {
            taken.set(taken.get() + 1_000_000);
            taken.get()
        };
        assert_eq!(agreed(read, 100), u64::from(READINGS) * 1_000_000);
    }

    #[test]
    fn a_wait_of_a_tick_leaves_no_event_stream_on() {
        fake::reset();
        fake::set("CNTHCTL_EL2", 3);
        wfe_for_a_tick();
        let writes = [("CNTHCTL_EL2", 0xf7), ("CNTHCTL_EL2", 3)];
        assert_eq!(fake::writes(), writes);
        assert_eq!(fake::instructions(), ["isb", "wfe"]);
    }

    #[test]
    fn the_counter_is_read_in_program_order() {
        counter();
        now();
        assert_eq!(fake::instructions(), ["isb"]);
    }
}
