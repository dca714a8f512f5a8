// SPDX-License-Identifier: Apache-2.0
//! Who may change the set of CPUs, and who may take it: never both at once.

use crate::sync::atomic::{AtomicU32, Ordering};

/// A takeover is being prepared: others that ask are refused, CPUs still come and go.
const PREPARING: u32 = 1 << 31;
/// The takeover is under way: no CPU is started any more.
const CLOSED: u32 = 1 << 30;

/// Counts the CPU_ON calls on their way, and lets one takeover close the way.
#[derive(Debug)]
pub struct Gate {
    word: AtomicU32,
}

/// A CPU_ON on its way: as long as it lives, no takeover counts the CPUs.
#[derive(Debug)]
#[must_use]
pub struct Pass<'a>(&'a Gate);

/// The right to prepare a takeover. Dropped without [`Preparation::close`], all goes on.
#[derive(Debug)]
#[must_use]
pub struct Preparation<'a>(&'a Gate);

/// The right to take the CPUs: the gate is closed until it is opened.
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

    /// Lets a CPU_ON through, unless a takeover is under way.
    pub fn pass(&self) -> Option<Pass<'_>> {
        let more = |word: u32| (word & CLOSED == 0).then_some(word + 1);
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .ok()
            .map(|_| Pass(self))
    }

    /// Gives the right to prepare a takeover to one caller at a time.
    pub fn prepare(&self) -> Option<Preparation<'_>> {
        let free = |word: u32| (word & (PREPARING | CLOSED) == 0).then_some(word | PREPARING);
        // The right is made only if it was won: dropped, it would take the winner's bit away.
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
    /// Closes the gate: no CPU_ON begins any more. Those on their way are to be waited for.
    pub fn close(self) -> Closed<'a> {
        let gate = self.0;
        gate.word.fetch_or(CLOSED, Ordering::AcqRel);
        Closed(gate)
    }
}

impl Closed<'_> {
    /// Returns whether no CPU_ON is on its way.
    pub fn is_quiet(&self) -> bool {
        self.0.word.load(Ordering::Acquire) & !(PREPARING | CLOSED) == 0
    }

    /// Opens the gate for the next generation.
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
