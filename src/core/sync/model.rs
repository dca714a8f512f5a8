// SPDX-License-Identifier: Apache-2.0
//! A model of it, for tests: loom's, which goes through all orders in which threads can act and all
//! values that they can then read, or shuttle's, which tries random orders of many threads.
//!
//! It can be broken on purpose: [`mutant`] changes one access to shared memory, named by its place
//! in the source, so that a test can show that the model would have found the mistake.

pub mod mutant;

use core::panic::Location;
use mutant::{Kind, is_active};
use std::cell::Cell;
use std::sync::PoisonError;

#[cfg(feature = "loom")]
use loom as engine;
#[cfg(not(feature = "loom"))]
use shuttle as engine;

use engine::sync::{Condvar, Mutex, MutexGuard};
use engine::{lazy_static, thread_local};

pub use engine::thread;

/// CPUs that share a leaf of a barrier: few, so that few CPUs fill a tree.
pub const FAN_IN: usize = if cfg!(feature = "loom") { 2 } else { 16 };
/// Leaves of a barrier.
pub const LEAVES: usize = if cfg!(feature = "loom") { 2 } else { 8 };

/// Atomics of the model.
pub mod atomic {
    use super::mutant::{self, Kind, is_active};
    use super::{Location, engine};
    pub use core::sync::atomic::Ordering;
    use core::sync::atomic::Ordering::Relaxed;

    fn order(site: &'static Location<'static>, order: Ordering) -> Ordering {
        match order != Relaxed && is_active(Kind::Relax, site) {
            true => Relaxed,
            false => order,
        }
    }

    fn load_order(order: Ordering) -> Ordering {
        match order {
            Ordering::AcqRel => Ordering::Acquire,
            Ordering::Release => Relaxed,
            order => order,
        }
    }

    fn store_order(order: Ordering) -> Ordering {
        match order {
            Ordering::AcqRel => Ordering::Release,
            Ordering::Acquire => Relaxed,
            order => order,
        }
    }

    macro_rules! atomic {
        ($($(#[$doc:meta])* $name:ident: $value:ty, $word:expr, $back:expr;)*) => {$(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name(engine::sync::atomic::$name);

            impl $name {
                /// As the machine's.
                #[track_caller]
                pub fn new(value: $value) -> Self {
                    Self(engine::sync::atomic::$name::new(value))
                }

                /// As the machine's.
                #[track_caller]
                pub fn load(&self, o: Ordering) -> $value {
                    let site = Location::caller();
                    let address = &raw const *self as usize;
                    if is_active(Kind::Believe, site)
                        && let Some(word) = mutant::believed(address)
                    {
                        return $back(word);
                    }
                    let value = self.0.load(order(site, o));
                    mutant::believe(address, || $word(value));
                    value
                }

                /// As the machine's.
                #[track_caller]
                pub fn store(&self, value: $value, o: Ordering) {
                    self.0.store(value, order(Location::caller(), o));
                }

                /// As the machine's.
                #[track_caller]
                pub fn fetch_update(
                    &self,
                    set: Ordering,
                    fetch: Ordering,
                    mut next: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    let site = Location::caller();
                    let (set, fetch) = (order(site, set), order(site, fetch));
                    if is_active(Kind::Tear, site) {
                        let old = self.0.load(load_order(set));
                        return match next(old) {
                            Some(new) => {
                                self.0.store(new, store_order(set));
                                Ok(old)
                            }
                            None => Err(old),
                        };
                    }
                    let address = &raw const *self as usize;
                    let result = self.0.fetch_update(set, fetch, next);
                    mutant::believe(address, || $word(match result { Ok(old) | Err(old) => old }));
                    result
                }

                /// As the machine's.
                #[track_caller]
                pub fn compare_exchange(
                    &self,
                    from: $value,
                    to: $value,
                    set: Ordering,
                    fetch: Ordering,
                ) -> Result<$value, $value> {
                    let site = Location::caller();
                    let (set, fetch) = (order(site, set), order(site, fetch));
                    if is_active(Kind::Tear, site) {
                        let old = self.0.load(load_order(set));
                        if old != from {
                            return Err(old);
                        }
                        self.0.store(to, store_order(set));
                        return Ok(old);
                    }
                    self.0.compare_exchange(from, to, set, fetch)
                }
            }
        )*};
    }

    macro_rules! arithmetic {
        ($($name:ident: $value:ty, $($operation:ident $function:expr),*;)*) => {$(impl $name {$(
            /// As the machine's.
            #[track_caller]
            pub fn $operation(&self, operand: $value, o: Ordering) -> $value {
                let site = Location::caller();
                let o = order(site, o);
                if is_active(Kind::Tear, site) {
                    let old = self.0.load(load_order(o));
                    let function: fn($value, $value) -> $value = $function;
                    self.0.store(function(old, operand), store_order(o));
                    return old;
                }
                self.0.$operation(operand, o)
            }
        )*})*};
    }

    atomic! {
        /// `bool`.
        AtomicBool: bool, u64::from, |word| word != 0;
        /// `u8`.
        AtomicU8: u8, u64::from, |word| word as u8;
        /// `u32`.
        AtomicU32: u32, u64::from, |word| word as u32;
        /// `u64`.
        AtomicU64: u64, |word| word, |word| word;
    }
    arithmetic! {
        AtomicU8: u8, fetch_and |a, b| a & b;
        AtomicU32: u32, fetch_add u32::wrapping_add, fetch_sub u32::wrapping_sub,
            fetch_and |a, b| a & b, fetch_or |a, b| a | b;
        AtomicU64: u64, fetch_add u64::wrapping_add, fetch_and |a, b| a & b, fetch_or |a, b| a | b;
    }
}

/// A lock of the model.
#[derive(Debug)]
pub struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    /// As the machine's.
    pub fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// As the machine's.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The events that were sent so far. A CPU's event register is set if it has not seen them all.
struct Events {
    sent: Mutex<u64>,
    one_more: Condvar,
}

lazy_static! {
    static ref EVENTS: Events = Events {
        sent: Mutex::new(0),
        one_more: Condvar::new()
    };
}

thread_local! {
    static SEEN: Cell<u64> = Cell::new(0);
}

/// Sends an event to all CPUs.
#[track_caller]
pub fn sev() {
    if is_active(Kind::Forget, Location::caller()) {
        return;
    }
    *EVENTS.sent.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    EVENTS.one_more.notify_all();
}

/// Waits for an event; never returns without one, so that a lost one is a deadlock.
pub fn wfe() {
    let mut sent = EVENTS.sent.lock().unwrap_or_else(PoisonError::into_inner);
    while *sent == SEEN.with(Cell::get) {
        sent = EVENTS
            .one_more
            .wait(sent)
            .unwrap_or_else(PoisonError::into_inner);
    }
    SEEN.with(|seen| seen.set(*sent));
}

/// Lets another CPU run.
pub fn pause() {
    thread::yield_now();
}
