// SPDX-License-Identifier: Apache-2.0
//! A barrier for the CPUs of a takeover: a tree of counters, so that no cache line is written by
//! all.

use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::{FAN_IN, LEAVES};
use core::array;

/// How many CPUs a barrier can serve, and so how many the monitor can have.
pub const MAX_CPUS: usize = FAN_IN * LEAVES;

/// A counter on a cache line of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Node {
    expected: AtomicU32,
    arrived: AtomicU32,
}

impl Node {
    fn new() -> Self {
        Self {
            expected: AtomicU32::new(0),
            arrived: AtomicU32::new(0),
        }
    }

    /// Counts one arrival. Returns true to the last one expected, for which the counter starts
    /// anew.
    fn arrive(&self) -> bool {
        let arrived = self.arrived.fetch_add(1, Ordering::AcqRel) + 1;
        let last = arrived == self.expected.load(Ordering::Relaxed);
        if last {
            self.arrived.store(0, Ordering::Relaxed);
        }
        last
    }
}

/// A barrier that many CPUs arrive at, once a generation, and that any CPU can wait for.
///
/// Generations are numbers that only grow. CPUs are added and removed between the arrivals of two
/// generations, never during those of one.
#[derive(Debug)]
pub struct Barrier {
    leaves: [Node; LEAVES],
    root: Node,
    /// The last generation in which all CPUs have arrived.
    complete: AtomicU64,
}

impl Barrier {
    /// Returns a barrier that expects no CPU.
    pub fn new() -> Self {
        Self {
            leaves: array::from_fn(|_| Node::new()),
            root: Node::new(),
            complete: AtomicU64::new(0),
        }
    }

    /// Expects CPU `index` from the next generation on. Not to be called by two CPUs at once.
    pub fn add(&self, index: usize) {
        if self.leaves[index / FAN_IN]
            .expected
            .fetch_add(1, Ordering::Relaxed)
            == 0
        {
            self.root.expected.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Expects CPU `index` no longer. Not to be called by two CPUs at once.
    pub fn remove(&self, index: usize) {
        if self.leaves[index / FAN_IN]
            .expected
            .fetch_sub(1, Ordering::Relaxed)
            == 1
        {
            self.root.expected.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Records that CPU `index` has arrived in `generation`: called by itself, or by the CPU that
    /// gives it up. Once for each CPU that is expected.
    pub fn arrive(&self, index: usize, generation: u64) {
        if self.leaves[index / FAN_IN].arrive() && self.root.arrive() {
            self.complete.store(generation, Ordering::Release);
        }
    }

    /// Returns whether all CPUs have arrived in `generation`; what they wrote before is visible
    /// then.
    pub fn is_complete(&self, generation: u64) -> bool {
        self.complete.load(Ordering::Acquire) >= generation
    }
}

impl Default for Barrier {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    fn expecting(cpus: impl IntoIterator<Item = usize>) -> Barrier {
        let barrier = Barrier::new();
        cpus.into_iter().for_each(|cpu| barrier.add(cpu));
        barrier
    }

    #[test]
    fn complete_when_the_last_one_arrives() {
        for count in [1, 2, 15, 16, 17, 80, 130, MAX_CPUS] {
            let barrier = expecting(0..count);
            for cpu in 0..count {
                assert!(!barrier.is_complete(1), "complete after {cpu} of {count}");
                barrier.arrive(cpu, 1);
            }
            assert!(barrier.is_complete(1), "not complete after {count}");
        }
    }

    #[test]
    fn serves_one_generation_after_another_while_cpus_come_and_go() {
        let barrier = expecting([0, 20]);
        for generation in 1..10 {
            barrier.arrive(20, generation);
            assert!(!barrier.is_complete(generation));
            barrier.arrive(0, generation);
            assert!(barrier.is_complete(generation));
            assert!(!barrier.is_complete(generation + 1));
        }
        barrier.remove(20);
        barrier.arrive(0, 10);
        assert!(barrier.is_complete(10), "CPU 20 was removed");
    }

    #[test]
    fn what_was_written_before_is_seen_after() {
        const CPUS: usize = 40;
        let barrier = expecting(0..CPUS);
        let sum = AtomicUsize::new(0);
        for generation in 1..50 {
            thread::scope(|scope| {
                for cpu in 0..CPUS {
                    let (barrier, sum) = (&barrier, &sum);
                    scope.spawn(move || {
                        sum.fetch_add(1, Ordering::Relaxed);
                        barrier.arrive(cpu, generation);
                    });
                }
                while !barrier.is_complete(generation) {
                    thread::yield_now();
                }
                assert_eq!(sum.load(Ordering::Relaxed), CPUS * generation as usize);
            });
        }
    }
}
