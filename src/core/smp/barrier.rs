// SPDX-License-Identifier: Apache-2.0
//! Where the CPUs of a teardown meet: a tree of counters, so that no word is written by all.

use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::{FAN_IN, LEAVES};
use core::array;

/// CPUs that a barrier can serve.
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

    /// Counts one more; the last one resets the counter and is told so.
    fn arrive(&self) -> bool {
        let arrived = self.arrived.fetch_add(1, Ordering::AcqRel) + 1;
        let last = arrived == self.expected.load(Ordering::Relaxed);
        if last {
            self.arrived.store(0, Ordering::Relaxed);
        }
        last
    }
}

/// A barrier that many arrive at and any can wait for, once an generation.
///
/// Generations are numbers that only grow. Who takes part changes between generations, never during one.
#[derive(Debug)]
pub struct Barrier {
    leaves: [Node; LEAVES],
    root: Node,
    /// The last generation in which all arrived.
    complete: AtomicU64,
}

impl Barrier {
    /// Returns a barrier that expects nobody.
    pub fn new() -> Self {
        Self {
            leaves: array::from_fn(|_| Node::new()),
            root: Node::new(),
            complete: AtomicU64::new(0),
        }
    }

    /// Expects CPU `index` from the next generation on. Callers take turns.
    pub fn add(&self, index: usize) {
        if self.leaves[index / FAN_IN]
            .expected
            .fetch_add(1, Ordering::Relaxed)
            == 0
        {
            self.root.expected.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Expects CPU `index` no longer. Callers take turns.
    pub fn remove(&self, index: usize) {
        if self.leaves[index / FAN_IN]
            .expected
            .fetch_sub(1, Ordering::Relaxed)
            == 1
        {
            self.root.expected.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// CPU `index` has arrived in `generation`, or somebody says so in its place.
    pub fn arrive(&self, index: usize, generation: u64) {
        if self.leaves[index / FAN_IN].arrive() && self.root.arrive() {
            self.complete.store(generation, Ordering::Release);
        }
    }

    /// Returns whether all have arrived in `generation`; what they did before is visible then.
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
    fn serves_epoch_after_epoch_while_cpus_come_and_go() {
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
