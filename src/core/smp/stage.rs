// SPDX-License-Identifier: Apache-2.0
//! What the boot CPU has all CPUs that have gathered do, one after another.

/// One thing that they do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Each checks its part of the request, in this round, counted from 0.
    Check(u8),
    /// The request was refused: each goes back to where it was.
    Refused,
    /// Each goes from ONLINE to TEARDOWN_CPU.
    Phase1,
    /// Each goes from TEARDOWN_CPU to IDLE_DEAD.
    Phase3,
}

impl Stage {
    /// How many bits of an order say which stage it is.
    pub(super) const BITS: u32 = 8;
    /// The most rounds in which a request is checked.
    pub const MAX_ROUNDS: u8 = REFUSED - 1;

    /// Returns the order for this stage of `generation`: later ones are greater, and none is 0.
    pub(super) const fn of(self, generation: u64) -> u64 {
        let number = match self {
            Self::Check(round) if round < Self::MAX_ROUNDS => round + 1,
            Self::Check(_) => Self::MAX_ROUNDS,
            Self::Refused => REFUSED,
            Self::Phase1 => REFUSED + 1,
            Self::Phase3 => REFUSED + 2,
        };
        generation << Self::BITS | number as u64
    }

    /// Returns the stage in `order` for a CPU that has gathered for `generation`.
    ///
    /// A takeover that is not refused does not end without such a CPU: an order of a later one says that
    /// this one was refused.
    pub(super) const fn in_generation(order: u64, generation: u64) -> Self {
        if order >> Self::BITS != generation {
            return Self::Refused;
        }
        match order as u8 {
            number @ ..REFUSED => Self::Check(number.saturating_sub(1)),
            REFUSED => Self::Refused,
            number if number == REFUSED + 1 => Self::Phase1,
            _ => Self::Phase3,
        }
    }
}

const REFUSED: u8 = 0xf0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_grow_and_say_which_stage_they_are() {
        let mut last = 0;
        for generation in [1, 2, 1 << 40] {
            let rounds = (0..Stage::MAX_ROUNDS).map(Stage::Check);
            for stage in rounds.chain([Stage::Refused, Stage::Phase1, Stage::Phase3]) {
                let order = stage.of(generation);
                assert!(
                    order > last,
                    "{stage:?} of {generation}: {order:#x} after {last:#x}"
                );
                assert_eq!(Stage::in_generation(order, generation), stage);
                last = order;
            }
        }
    }

    #[test]
    fn an_order_of_a_later_generation_says_that_this_one_was_refused() {
        for stage in [Stage::Check(0), Stage::Refused, Stage::Phase1] {
            assert_eq!(Stage::in_generation(stage.of(8), 7), Stage::Refused);
        }
    }
}
