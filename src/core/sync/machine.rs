// SPDX-License-Identifier: Apache-2.0
//! The machine's own.

#[cfg(target_os = "none")]
pub use super::hints::{pause, sev, wfe};
pub use core::sync::atomic;

/// A lock that is waited for in the way that lets an emulated CPU holding it run.
pub type Lock<T> = spin::mutex::SpinMutex<T, Relax>;

/// CPUs that share a leaf of a barrier.
pub const FAN_IN: usize = 16;
/// Leaves of a barrier: for 1024 CPUs.
pub const LEAVES: usize = 64;

/// Nobody waits in [`wfe`] on the host.
#[cfg(not(target_os = "none"))]
pub fn sev() {}

/// Returns without an event, as it may.
#[cfg(not(target_os = "none"))]
pub fn wfe() {
    pause();
}

/// Tells the machine that this thread is polling.
#[cfg(not(target_os = "none"))]
pub fn pause() {
    core::hint::spin_loop();
}

/// How a lock is waited for.
pub struct Relax;

impl spin::RelaxStrategy for Relax {
    fn relax() {
        pause();
    }
}
