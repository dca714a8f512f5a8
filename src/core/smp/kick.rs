// SPDX-License-Identifier: Apache-2.0
//! Bringing every CPU in: the kick.

use crate::smp::platform::Platform;
use crate::sync::sev;

/// Waits for all CPUs to have finished phase 1, and returns how many were given up.
///
/// Those that have not come within half of the bound are helped once, from outside.
pub fn await_all<P: Platform>(platform: &P, generation: u64) -> usize {
    let rendezvous = platform.rendezvous();
    let half_us = platform.patience_us() / 2;
    let all_there = || rendezvous.all_arrived(generation);
    if platform.wait_us(half_us, all_there) {
        return 0;
    }
    for cpu in platform.cpus() {
        let awaited = || rendezvous.is_awaited(cpu, generation);
        if awaited() {
            platform.kick_from_outside(cpu, awaited);
        }
    }
    sev();
    if platform.wait_us(half_us, all_there) {
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
    // The steps of those that did come are bounded, each of them.
    if !platform.wait_us(10 * half_us, all_there) {
        log::warn!(
            "not all CPUs that arrived have finished phase 1 within {} us",
            10 * half_us
        );
    }
    missing
}
