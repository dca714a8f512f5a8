// SPDX-License-Identifier: Apache-2.0
//! Time by the virtual counter, and bounded waits.

use crate::hints;
use arm_sysregs::el0::accessors::{read_cntfrq_el0, read_cntpct_el0, read_cntvct_el0};
use core::arch::asm;

/// How long CPUs are waited for, in milliseconds: long enough for 130 vCPUs on a slow host.
pub const TIMEOUT_MS: u64 = 60_000;

/// `CNTVCT_EL0`.
pub fn now() -> u64 {
    // SAFETY: an ISB only keeps the counter from being read early.
    unsafe { asm!("isb", options(nomem, nostack, preserves_flags)) };
    read_cntvct_el0().bits()
}

/// `CNTPCT_EL0`, the clock of the monitor's report.
pub fn physical_now() -> u64 {
    // SAFETY: as in `now`.
    unsafe { asm!("isb", options(nomem, nostack, preserves_flags)) };
    read_cntpct_el0().bits()
}

/// Ticks a second.
pub fn frequency() -> u64 {
    read_cntfrq_el0().bits().max(1)
}

/// Milliseconds in ticks.
pub fn ticks(milliseconds: u64) -> u64 {
    frequency().saturating_mul(milliseconds) / 1000
}

/// Ticks in microseconds.
pub fn microseconds(ticks: u64) -> u64 {
    (u128::from(ticks) * 1_000_000 / u128::from(frequency())) as u64
}

/// Makes `wfe` end now and then, so that waits on what sends no event are bounded as well.
///
/// Sets CNTKCTL_EL1.EVNTEN with an event each 2^(EVNTI+1) ticks, near 100 us.
pub fn init_event_stream() {
    let bit = (frequency() / 10_000).max(2).ilog2().clamp(1, 15) - 1;
    let value = 1u64 << 2 | u64::from(bit) << 4;
    // SAFETY: the event stream wakes WFE and changes nothing else.
    unsafe { asm!("msr cntkctl_el1, {}", "isb", in(reg) value, options(nomem, nostack)) };
}

/// Waits by WFE until `condition` holds. `false` if it still does not after `milliseconds`.
pub fn wait_until(milliseconds: u64, mut condition: impl FnMut() -> bool) -> bool {
    let start = now();
    let bound = ticks(milliseconds);
    loop {
        if condition() {
            return true;
        }
        if now().wrapping_sub(start) > bound {
            return condition();
        }
        hints::wait_for_event();
    }
}

/// Lets the other CPUs run for a while.
pub fn pause(milliseconds: u64) {
    wait_until(milliseconds, || false);
}
