// SPDX-License-Identifier: Apache-2.0
//! Waiting for the CPUs that were kicked.

use crate::smp::platform::Platform;
use crate::sync::sev;

/// Waits until all CPUs have finished phase 1, gives up those that do not arrive in time, and
/// returns how many these are.
///
/// CPUs that have not arrived after half of the time are kicked once more, from outside.
pub fn await_all<P: Platform>(platform: &P, generation: u64) -> usize {
    let rendezvous = platform.rendezvous();
    let half_us = platform.arrival_timeout_us() / 2;
    let all_finished = || rendezvous.is_phase1_finished(generation);
    if platform.wait_us(half_us, all_finished) {
        return 0;
    }
    for cpu in platform.cpus() {
        let awaited = || rendezvous.is_awaited(cpu, generation);
        if awaited() {
            platform.kick_from_outside(cpu, awaited);
        }
    }
    sev();
    if platform.wait_us(half_us, all_finished) {
        return 0;
    }
    let missing = platform
        .cpus()
        .iter()
        .filter(|cpu| rendezvous.give_up(*cpu, generation))
        .count();
    if missing > 0 {
        platform.leave_behind(missing);
    }
    // Those that have arrived will finish: each of their steps has a bound.
    if !platform.wait_us(10 * half_us, all_finished) {
        log::warn!(
            "not all CPUs that arrived have finished phase 1 within {} us",
            10 * half_us
        );
    }
    missing
}
