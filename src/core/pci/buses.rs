// SPDX-License-Identifier: Apache-2.0
//! Sets of the buses of a segment.

use crate::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// Words of 64 buses each.
const WORDS: usize = 4;

/// A set of buses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buses([u64; WORDS]);

impl Buses {
    /// Returns whether a bus is in it.
    pub fn has(&self, bus: u8) -> bool {
        self.0[usize::from(bus / 64)] & bit(bus) != 0
    }
}

/// A set of buses that several CPUs change at once.
pub struct SharedBuses([AtomicU64; WORDS]);

impl Default for SharedBuses {
    fn default() -> Self {
        Self([(); WORDS].map(|()| AtomicU64::new(0)))
    }
}

impl SharedBuses {
    /// Makes it the same as another. To be called when no other CPU uses it.
    pub fn set(&self, buses: Buses) {
        for (word, value) in self.0.iter().zip(buses.0) {
            word.store(value, Relaxed);
        }
    }

    /// Returns what is in it. To be called when no other CPU uses it.
    pub fn get(&self) -> Buses {
        Buses(self.0.each_ref().map(|word| word.load(Relaxed)))
    }

    /// Returns whether a bus is in it.
    pub fn has(&self, bus: u8) -> bool {
        self.word(bus).load(Relaxed) & bit(bus) != 0
    }

    /// Adds a bus; returns whether it was not in it.
    pub fn add(&self, bus: u8) -> bool {
        self.word(bus).fetch_or(bit(bus), AcqRel) & bit(bus) == 0
    }

    /// Removes a bus; returns whether it was in it.
    pub fn remove(&self, bus: u8) -> bool {
        self.word(bus).fetch_and(!bit(bus), AcqRel) & bit(bus) != 0
    }

    /// Takes the lowest bus out, for the caller alone.
    pub fn take(&self) -> Option<u8> {
        for (word, first) in self.0.iter().zip((0..).step_by(64)) {
            let mut left = word.load(Acquire);
            while left != 0 {
                let bus = first + left.trailing_zeros() as u8;
                if self.remove(bus) {
                    return Some(bus);
                }
                left = word.load(Acquire);
            }
        }
        None
    }

    fn word(&self, bus: u8) -> &AtomicU64 {
        &self.0[usize::from(bus / 64)]
    }
}

fn bit(bus: u8) -> u64 {
    1 << (bus % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::thread;
    use std::vec::Vec;

    #[test]
    fn a_bus_is_added_and_taken_once() {
        let set = SharedBuses::default();
        assert!([255, 0, 64, 63].into_iter().all(|bus| set.add(bus)));
        assert!(!set.add(64), "a second time");
        assert!(set.get().has(255) && !set.get().has(254));
        assert!(set.remove(64) && !set.remove(64));
        let taken: Vec<_> = core::iter::from_fn(|| set.take()).collect();
        assert_eq!(taken, [0, 63, 255]);
    }

    #[test]
    fn each_bus_is_taken_by_one_cpu() {
        let set = SharedBuses::default();
        set.set(Buses([u64::MAX; WORDS]));
        let taken = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(bus) = set.take() {
                        taken.lock().expect("the list").push(bus);
                    }
                });
            }
        });
        let mut taken = taken.into_inner().expect("the list");
        taken.sort_unstable();
        assert_eq!(taken, (0..=255).collect::<Vec<u8>>());
    }
}
