//! Whether a CPU came in time: decided once, by the CPU or by the boot CPU, never by both.

use core::sync::atomic::{AtomicU64, Ordering};

const MISSING: u64 = 1 << 63;

/// One CPU's arrival in the last takeover, numbered by its epoch.
#[derive(Debug, Default)]
pub struct Arrival {
    word: AtomicU64,
}

impl Arrival {
    /// Returns the arrival of a CPU that was in no takeover yet.
    pub const fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
        }
    }

    /// The CPU itself arrives in `epoch`; false if it was given up before.
    pub fn arrive(&self, epoch: u64) -> bool {
        self.decide(epoch, epoch)
    }

    /// The boot CPU gives it up in `epoch`; false if it has arrived before.
    pub fn give_up(&self, epoch: u64) -> bool {
        self.decide(epoch, epoch | MISSING)
    }

    /// Returns whether the CPU has arrived in `epoch`.
    pub fn has_arrived(&self, epoch: u64) -> bool {
        self.word.load(Ordering::Acquire) == epoch
    }

    /// Returns whether the CPU was given up in `epoch`.
    pub fn is_missing(&self, epoch: u64) -> bool {
        self.word.load(Ordering::Acquire) == epoch | MISSING
    }

    fn decide(&self, epoch: u64, verdict: u64) -> bool {
        let undecided = |word: u64| (word & !MISSING < epoch).then_some(verdict);
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, undecided)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_verdict_of_an_epoch_counts() {
        let arrival = Arrival::new();
        assert!(arrival.arrive(1));
        assert!(!arrival.give_up(1), "given up after it arrived");
        assert!(arrival.has_arrived(1) && !arrival.is_missing(1));
        assert!(arrival.give_up(2));
        assert!(!arrival.arrive(2), "arrived after it was given up");
        assert!(arrival.is_missing(2) && !arrival.has_arrived(2));
        assert!(arrival.arrive(3), "the next epoch is decided anew");
    }
}
