//! Bringing every CPU in: the kick.

use super::hardware::Hardware;
use crate::sync::sev;

/// Waits for all CPUs to have finished phase 1, and returns how many were given up.
///
/// Those that have not come within half of the bound are helped once, from outside.
pub fn await_all<H: Hardware>(hardware: &H, epoch: u64) -> usize {
    let rendezvous = hardware.rendezvous();
    let half_us = hardware.patience_us() / 2;
    let all_there = || rendezvous.all_arrived(epoch);
    if hardware.wait_us(half_us, all_there) {
        return 0;
    }
    for cpu in hardware.cpus() {
        let awaited = || rendezvous.is_awaited(cpu, epoch);
        if awaited() {
            hardware.kick_from_outside(cpu, awaited);
        }
    }
    sev();
    if hardware.wait_us(half_us, all_there) {
        return 0;
    }
    let missing = hardware
        .cpus()
        .iter()
        .filter(|cpu| rendezvous.give_up(*cpu, epoch))
        .count();
    if missing > 0 {
        hardware.leave_behind(missing);
    }
    // The steps of those that did come are bounded, each of them.
    if !hardware.wait_us(10 * half_us, all_there) {
        log::warn!(
            "not all CPUs that arrived have finished phase 1 within {} us",
            10 * half_us
        );
    }
    missing
}
