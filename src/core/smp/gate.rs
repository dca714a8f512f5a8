// SPDX-License-Identifier: Apache-2.0
//! Keeps CPU_ON calls and takeovers apart: what changes the set of CPUs, and what takes the whole
//! set.

use crate::sync::atomic::{AtomicU32, Ordering};

/// One caller prepares a takeover: another one is refused, CPU_ON calls are not.
const PREPARING: u32 = 1 << 31;
/// A takeover is under way: CPU_ON calls are refused too.
const CLOSED: u32 = 1 << 30;

/// Counts the CPU_ON calls that are under way, and lets one takeover at a time refuse new ones.
///
/// The count is the low bits of the word, and `PREPARING` and `CLOSED` are above it.
#[derive(Debug)]
pub struct Gate {
    word: AtomicU32,
}

/// A CPU_ON call under way. As long as it lives, a takeover waits before it counts the CPUs.
#[derive(Debug)]
#[must_use]
pub struct Pass<'a>(&'a Gate);

/// The right to prepare a takeover, given back when it is dropped. [`Preparation::close`] begins
/// it.
#[derive(Debug)]
#[must_use]
pub struct Preparation<'a>(&'a Gate);

/// The right to take the CPUs. The gate stays closed until [`Closed::open`].
#[derive(Debug)]
#[must_use]
pub struct Closed<'a>(&'a Gate);

impl Gate {
    /// Returns an open gate.
    pub fn new() -> Self {
        Self {
            word: AtomicU32::new(0),
        }
    }

    /// Counts a CPU_ON call as under way; `None` if a takeover is.
    pub fn pass(&self) -> Option<Pass<'_>> {
        let more = |word: u32| (word & CLOSED == 0).then_some(word + 1);
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .ok()
            .map(|_| Pass(self))
    }

    /// Gives the right to prepare a takeover; `None` if another caller has it, or a takeover is
    /// under way.
    pub fn prepare(&self) -> Option<Preparation<'_>> {
        let free = |word: u32| (word & (PREPARING | CLOSED) == 0).then_some(word | PREPARING);
        // No `Preparation` before the bit is won: when dropped it would clear the bit of who has
        // it.
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, free)
            .ok()
            .map(|_| Preparation(self))
    }

    /// Returns whether a takeover is under way.
    pub fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.word.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Preparation<'_> {
    fn drop(&mut self) {
        self.0.word.fetch_and(!PREPARING, Ordering::AcqRel);
    }
}

impl<'a> Preparation<'a> {
    /// Begins the takeover: no CPU_ON call begins any more. Those under way have to be waited for,
    /// until [`Closed::is_quiet`].
    pub fn close(self) -> Closed<'a> {
        let gate = self.0;
        gate.word.fetch_or(CLOSED, Ordering::AcqRel);
        Closed(gate)
    }
}

impl Closed<'_> {
    /// Returns whether no CPU_ON call is under way.
    pub fn is_quiet(&self) -> bool {
        self.0.word.load(Ordering::Acquire) & !(PREPARING | CLOSED) == 0
    }

    /// Ends the takeover: the gate is open for the next generation.
    pub fn open(self) {
        self.0.word.fetch_and(!CLOSED, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_takeover_at_a_time() {
        let gate = Gate::new();
        let first = gate.prepare().expect("nobody else prepares");
        assert!(
            gate.prepare().is_none(),
            "a second one prepares beside the first"
        );
        assert!(gate.pass().is_some(), "CPUs come and go while one prepares");
        drop(first);
        let second = gate.prepare().expect("the first one gave up");
        let closed = second.close();
        assert!(gate.prepare().is_none(), "one prepares while another takes");
        assert!(
            gate.pass().is_none(),
            "a CPU is started while another takes"
        );
        closed.open();
        assert!(gate.pass().is_some() && gate.prepare().is_some());
    }

    #[test]
    fn being_refused_changes_nothing() {
        let gate = Gate::new();
        let first = gate.prepare().expect("nobody else prepares");
        for attempt in 1..=3 {
            assert!(
                gate.prepare().is_none(),
                "attempt {attempt} beside the first"
            );
        }
        let closed = first.close();
        assert!(gate.prepare().is_none(), "one prepares while another takes");
        closed.open();
        assert!(gate.prepare().is_some(), "nobody prepares any more");
    }

    #[test]
    fn waits_for_those_on_their_way() {
        let gate = Gate::new();
        let pass = gate.pass().expect("the gate is open");
        let closed = gate.prepare().expect("nobody else prepares").close();
        assert!(!closed.is_quiet(), "one is on its way");
        drop(pass);
        assert!(closed.is_quiet(), "nobody is on its way");
    }
}
