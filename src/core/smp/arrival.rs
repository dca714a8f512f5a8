// SPDX-License-Identifier: Apache-2.0
//! Whether a CPU came in time: decided once, by the CPU or by the boot CPU, never by both.

use crate::sync::atomic::{AtomicU64, Ordering};

/// The monitor does not count on the CPU: it never ran, was sent back to firmware, or was given up.
const ABSENT: u64 = 1 << 63;
/// The verdict of the generation: it did not come in time.
const MISSING: u64 = 1 << 62;
const GENERATION: u64 = MISSING - 1;

/// One CPU's arrival in the last takeover, numbered by its generation.
#[derive(Debug)]
pub struct Arrival {
    word: AtomicU64,
}

impl Arrival {
    /// Returns the arrival of a CPU that the monitor does not have yet.
    pub fn new() -> Self {
        Self {
            word: AtomicU64::new(ABSENT),
        }
    }

    /// The CPU itself arrives in `generation`; false if nobody counts on it, or no longer.
    pub fn arrive(&self, generation: u64) -> bool {
        self.decide(generation, generation)
    }

    /// The boot CPU gives it up in `generation`; false if it has arrived before.
    pub fn give_up(&self, generation: u64) -> bool {
        self.decide(generation, generation | MISSING)
    }

    /// Returns whether the CPU has arrived in `generation`.
    pub fn has_arrived(&self, generation: u64) -> bool {
        self.word.load(Ordering::Acquire) & !ABSENT == generation
    }

    /// Returns whether the CPU was given up in `generation`.
    pub fn is_missing(&self, generation: u64) -> bool {
        self.word.load(Ordering::Acquire) & !ABSENT == generation | MISSING
    }

    /// Returns whether the next takeover counts on the CPU, or the present one did as it began.
    pub fn is_expected(&self) -> bool {
        self.word.load(Ordering::Acquire) & ABSENT == 0
    }

    /// From now on the next takeover counts on the CPU; false if it did before.
    pub fn expect(&self) -> bool {
        self.word.fetch_and(!ABSENT, Ordering::AcqRel) & ABSENT != 0
    }

    /// Nobody counts on the CPU any more; false if nobody did.
    pub fn expect_no_longer(&self) -> bool {
        self.word.fetch_or(ABSENT, Ordering::AcqRel) & ABSENT == 0
    }

    fn decide(&self, generation: u64, verdict: u64) -> bool {
        let undecided =
            |word: u64| (word & ABSENT == 0 && word & GENERATION < generation).then_some(verdict);
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, undecided)
            .is_ok()
    }
}

impl Default for Arrival {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_verdict_of_an_epoch_counts() {
        let arrival = Arrival::new();
        assert!(arrival.expect() && !arrival.expect());
        assert!(arrival.arrive(1));
        assert!(!arrival.give_up(1), "given up after it arrived");
        assert!(arrival.has_arrived(1) && !arrival.is_missing(1));
        assert!(arrival.give_up(2));
        assert!(!arrival.arrive(2), "arrived after it was given up");
        assert!(arrival.is_missing(2) && !arrival.has_arrived(2));
        assert!(arrival.arrive(3), "the next generation is decided anew");
    }

    #[test]
    fn nobody_waits_for_who_is_not_expected() {
        let arrival = Arrival::new();
        assert!(!arrival.arrive(1), "it never was expected");
        assert!(arrival.expect() && arrival.give_up(1) && arrival.is_expected());
        assert!(arrival.expect_no_longer() && !arrival.expect_no_longer());
        assert!(arrival.is_missing(1), "the verdict stays for the report");
        assert!(
            !arrival.arrive(2),
            "it was given up in the generation before"
        );
        assert!(arrival.expect() && arrival.arrive(2));
    }
}
