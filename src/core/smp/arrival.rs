// SPDX-License-Identifier: Apache-2.0
//! Whether a CPU arrived in time: decided once, by the CPU or by the boot CPU, never by both.

use crate::sync::atomic::{AtomicU64, Ordering};

/// No takeover waits for the CPU: it never ran, was sent back to firmware, or was given up.
const ABSENT: u64 = 1 << 63;
/// The CPU was given up in the generation that the low bits name.
const MISSING: u64 = 1 << 62;
const GENERATION: u64 = MISSING - 1;

/// One CPU's arrival in the last takeover, numbered by its generation.
///
/// All of it is one word, which the CPU and the boot CPU change by compare-and-swap: the first of
/// the two decides.
#[derive(Debug)]
pub struct Arrival {
    word: AtomicU64,
}

impl Arrival {
    /// Returns the arrival of a CPU that no takeover waits for yet.
    pub fn new() -> Self {
        Self {
            word: AtomicU64::new(ABSENT),
        }
    }

    /// Records that the CPU has arrived in `generation`; the CPU itself calls this. Returns false,
    /// and changes nothing, if it is not expected or was given up before.
    pub fn arrive(&self, generation: u64) -> bool {
        self.decide(generation, generation)
    }

    /// Records that the CPU did not arrive in `generation`; the boot CPU calls this. Returns false,
    /// and changes nothing, if the CPU is not expected or has arrived before.
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

    /// Returns whether a takeover that begins now would wait for the CPU; during one, whether
    /// that counted on it when it began.
    pub fn is_expected(&self) -> bool {
        self.word.load(Ordering::Acquire) & ABSENT == 0
    }

    /// Makes the next takeover wait for the CPU. Returns false if it would have anyway.
    pub fn expect(&self) -> bool {
        self.word.fetch_and(!ABSENT, Ordering::AcqRel) & ABSENT != 0
    }

    /// Makes no takeover wait for the CPU any more. Returns false if none would have.
    pub fn stop_expecting(&self) -> bool {
        self.word.fetch_or(ABSENT, Ordering::AcqRel) & ABSENT == 0
    }

    /// Sets the word to `verdict`, unless the CPU is not expected or `generation` is decided.
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
    fn first_verdict_of_a_generation_counts() {
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
    fn nobody_waits_for_a_cpu_that_is_not_expected() {
        let arrival = Arrival::new();
        assert!(!arrival.arrive(1), "it never was expected");
        assert!(arrival.expect() && arrival.give_up(1) && arrival.is_expected());
        assert!(arrival.stop_expecting() && !arrival.stop_expecting());
        assert!(arrival.is_missing(1), "the verdict stays for the report");
        assert!(
            !arrival.arrive(2),
            "it was given up in the generation before"
        );
        assert!(arrival.expect() && arrival.arrive(2));
    }
}
