// SPDX-License-Identifier: Apache-2.0
//! What one CPU has found out in a round of a check.

/// How many destinations a part can note. Linux has one for each segment: 16 at most.
const MAX_DESTINATIONS: usize = 24;

/// An entry that is a destination.
#[derive(Clone, Copy, Debug)]
pub struct Destination {
    /// Its position.
    pub position: u64,
    /// Its physical address.
    pub address: u64,
}

impl Destination {
    /// No destination.
    pub const NONE: Self = Self {
        position: 0,
        address: 0,
    };
}

/// One CPU's part in the check of a list, of about 450 bytes. What is looked at in both rounds comes first,
/// so that the boot CPU fetches one cache line of each.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Part {
    /// The round that it is of; 0 before the first one.
    round: u64,
    index: usize,
    /// Nothing was found to be wrong.
    good: bool,
    /// How many destinations there are.
    pub(super) count: usize,
    /// The position of the end of the list, if it is in this part.
    pub(super) end: Option<u64>,
    /// The destinations in this part, in the order of the list.
    pub(super) destinations: [Destination; MAX_DESTINATIONS],
}

impl Default for Part {
    fn default() -> Self {
        Self::new()
    }
}

impl Part {
    /// Returns a part in which nothing has been found out.
    pub const fn new() -> Self {
        Self {
            round: 0,
            index: 0,
            good: false,
            count: 0,
            end: None,
            destinations: [Destination::NONE; MAX_DESTINATIONS],
        }
    }

    /// Begins a round as the part of CPU `index`.
    pub(super) fn begin(&mut self, round: u64, index: usize) {
        (self.round, self.index, self.good) = (round, index, false);
        (self.count, self.end) = (0, None);
    }

    /// Ends the round.
    pub(super) fn finish(&mut self, good: bool) {
        self.good = good;
    }

    /// Returns whether CPU `index` has found its part of this round good.
    pub(super) fn is_good(&self, round: u64, index: usize) -> bool {
        self.round == round && self.index == index && self.good
    }
}
