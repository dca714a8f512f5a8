// SPDX-License-Identifier: Apache-2.0
//! Memory that is no atomic.

#[cfg(feature = "loom")]
type Cell = loom::cell::UnsafeCell<u64>;
#[cfg(not(feature = "loom"))]
type Cell = std::sync::atomic::AtomicU64;

/// A number that one CPU writes and another one reads, without any order of its own.
///
/// In loom's model every access that could meet another one fails the test. Shuttle knows of no
/// order of memory: there, only what is read can be wrong.
#[derive(Default)]
pub struct Plain(Cell);

#[cfg(feature = "loom")]
// SAFETY: The model finds every access that could meet another one.
unsafe impl Sync for Plain {}

#[cfg(feature = "loom")]
impl Plain {
    /// Writes `value`.
    pub fn set(&self, value: u64) {
        // SAFETY: The model fails if another thread could access it meanwhile.
        self.0.with_mut(|to| unsafe { *to = value });
    }

    /// Returns what was written last; 0 before that.
    pub fn get(&self) -> u64 {
        // SAFETY: As in `set`.
        self.0.with(|from| unsafe { *from })
    }
}

#[cfg(not(feature = "loom"))]
impl Plain {
    /// Writes `value`.
    pub fn set(&self, value: u64) {
        baton_core::sync::pause();
        self.0.store(value, std::sync::atomic::Ordering::Relaxed);
    }

    /// Returns what was written last; 0 before that.
    pub fn get(&self) -> u64 {
        baton_core::sync::pause();
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}
