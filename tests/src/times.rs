// SPDX-License-Identifier: Apache-2.0
//! When the parts of a reboot ended, by the monitor's lines for programs (`report=rows`).

use crate::Boot;

/// Nanoseconds since the request, which are instructions on a machine with `-icount shift=0`.
pub struct Times {
    /// The CPUs were kicked.
    pub kicked: f64,
    /// The list was found to be valid.
    pub validated: f64,
    /// Phase 2 was done.
    pub phase2_end: f64,
    /// Phase 3 was done.
    pub phase3_end: f64,
    /// The next kernel began.
    pub entered: f64,
}

impl Times {
    /// Reads those of the first reboot.
    #[track_caller]
    pub fn of(boot: &Boot) -> Self {
        let line = boot.expect("baton: times ");
        let words = line.split_once("times ").map_or("", |(_, words)| words);
        let numbers: Vec<f64> = words.split(' ').filter_map(|w| w.parse().ok()).collect();
        let [
            _,
            frequency,
            kicked,
            _,
            validated,
            _,
            _,
            _,
            phase2_end,
            phase3_end,
            entered,
        ] = numbers[..]
        else {
            boot.fail(format_args!(
                "expected the times of phases, seen \"{line}\""
            ))
        };
        let ns = |ticks| ticks / frequency * 1e9;
        Self {
            kicked: ns(kicked),
            validated: ns(validated),
            phase2_end: ns(phase2_end),
            phase3_end: ns(phase3_end),
            entered: ns(entered),
        }
    }
}
