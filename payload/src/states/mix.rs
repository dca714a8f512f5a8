// SPDX-License-Identifier: Apache-2.0
//! Which CPU goes into which state.

use super::power::off;
use super::table::{STATES, State, WFE};
use crate::arena::PAGE;
use crate::call::code;
use crate::console::say;
use crate::cpu::{Cpu, MAX_CPUS};
use crate::cpus::wait_for;
use crate::list::List;
use crate::outcome::Outcome;
use crate::pattern;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// CPUs that run in a tight state at once.
const TIGHT: usize = 3;
/// Heartbeats of a CPU that is seen to be in a state that counts.
const BEATS: u64 = 20;
/// States of a random mix.
const RANDOM: usize = 6;

/// Which states CPUs are put into.
#[derive(Clone, Copy)]
pub enum Wanted {
    /// All of them, in turn. The mix moves on from generation to generation, so that chains see all
    /// states on small machines too.
    Mix,
    /// This one.
    One(&'static State),
    /// Some, chosen by a seed.
    Random(u64),
}

impl Wanted {
    /// The state for the CPU with a number in a generation.
    fn choose(self, number: usize, generation: u64) -> &'static State {
        let mix = STATES.iter().filter(|state| !state.alone);
        let states = mix.clone().count();
        match self {
            Self::Mix => mix.clone().nth((number + generation as usize * 3) % states),
            Self::One(state) => Some(state),
            Self::Random(seed) => {
                // One generation in eight has the states that take the monitor long as well.
                let mut all = STATES.iter().filter(|state| !state.lost);
                let states = if seed % 8 == 0 {
                    all.clone().count()
                } else {
                    states
                };
                let slot = pattern::word(seed, number as u64) % RANDOM as u64;
                let pick = pattern::word(!seed, slot) as usize % states;
                match seed % 8 {
                    0 => all.nth(pick),
                    _ => mix.clone().nth(pick),
                }
            }
        }
        .unwrap_or(&WFE)
    }
}

/// A CPU and its state.
type Placed = Option<(&'static Cpu, &'static State)>;

/// Puts CPUs that are up into the states, and waits until each has got there.
///
/// Those that store do so into pages from `victims` on, which the reboot overwrites.
///
/// Those in a tight state are started when all others have been seen in theirs.
pub fn spread(
    cpus: impl Iterator<Item = &'static Cpu>,
    generation: u64,
    wanted: Wanted,
    victims: u64,
) -> Outcome {
    let mut started = List::<Placed, MAX_CPUS>::new();
    let mut tight = List::<Placed, TIGHT>::new();
    let mut free = cpus.zip(0..);
    while let Some((cpu, number)) = free.next() {
        let mut state = wanted.choose(number, generation);
        if state.tight && tight.push(Some((cpu, state))).is_ok() {
            continue;
        }
        if state.tight {
            state = &WFE;
        }
        let mut argument = victims + number as u64 * PAGE;
        if state.pair {
            match free.next() {
                Some((target, _)) => {
                    target.set_on_entry(Some(off));
                    target.start(off, 0);
                    argument = &raw const *target as u64;
                }
                None => state = &WFE,
            }
        }
        cpu.start(state.job, argument);
        // There are no more than MAX_CPUS.
        let _ = started.push(Some((cpu, state)));
    }
    wait_reached(&started)?;
    for (cpu, state) in tight.iter().flatten() {
        cpu.start(state.job, 0);
    }
    wait_reached(&tight)?;
    for state in STATES {
        let of = |placed: &&Placed| placed.is_some_and(|(_, its)| its.name == state.name);
        let count = started.iter().chain(tight.iter()).filter(of).count();
        if count > 0 {
            say!("state {}: {count} CPUs", state.name);
        }
    }
    Ok(())
}

fn wait_reached(placed: &[Placed]) -> Outcome {
    for (cpu, state) in placed.iter().flatten() {
        wait_for(
            [*cpu].into_iter(),
            format_args!("to reach the state {}", state.name),
            |cpu| {
                cpu.reached.load(Acquire) == 1
                    && (!state.off || cpu.affinity_info() == code::AFFINITY_OFF)
                    && (!state.counts || cpu.heartbeat.load(Relaxed) > BEATS)
            },
        )?;
    }
    Ok(())
}
