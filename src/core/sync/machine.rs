// SPDX-License-Identifier: Apache-2.0
//! Atomics, locks and events of the machine; of the host in tests.

#[cfg(target_os = "none")]
pub use super::hints::{pause, sev, wfe};
pub use core::sync::atomic;

/// A spin lock that waits by [`pause`], so that an emulator lets the CPU run that holds it.
pub type Lock<T> = spin::mutex::SpinMutex<T, Relax>;

/// How many CPUs share a leaf of a barrier.
pub const FAN_IN: usize = 16;
/// How many leaves a barrier has: enough for 1024 CPUs.
pub const LEAVES: usize = 64;

/// Sends no event: on the host, [`wfe`] waits for none.
#[cfg(not(target_os = "none"))]
pub fn sev() {}

/// Returns without an event, as the instruction may too.
#[cfg(not(target_os = "none"))]
pub fn wfe() {
    pause();
}

/// Tells the CPU that this thread is polling.
#[cfg(not(target_os = "none"))]
pub fn pause() {
    core::hint::spin_loop();
}

/// How [`Lock`] waits.
pub struct Relax;

impl spin::RelaxStrategy for Relax {
    fn relax() {
        pause();
    }
}
