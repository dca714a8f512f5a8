// SPDX-License-Identifier: Apache-2.0
//! Atomics, locks and events of a model, for `tests/races`: loom's, which goes through all orders
//! in which threads can act and all values that they can then read, or shuttle's, which tries
//! random orders of many threads. A thread is a CPU.
//!
//! A model can be broken on purpose: [`mutant`] changes one access to shared memory, named by its
//! place in the source, and a test shows that it finds the mistake.

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

/// How many CPUs share a leaf of a barrier: few for loom, so that few CPUs fill a tree.
pub const FAN_IN: usize = if cfg!(feature = "loom") { 2 } else { 16 };
/// How many leaves a barrier has.
pub const LEAVES: usize = if cfg!(feature = "loom") { 2 } else { 8 };

/// Atomics of the model, with the methods of the standard library's that the monitor uses.
pub mod atomic {
    use super::mutant::{self, Kind, is_active};
    use super::{Location, engine};
    pub use core::sync::atomic::Ordering;
    use core::sync::atomic::Ordering::Relaxed;

    /// Returns the ordering of an access: `Relaxed` if that is the mistake to make.
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
                /// Returns a word that holds `value`.
                #[track_caller]
                pub fn new(value: $value) -> Self {
                    Self(engine::sync::atomic::$name::new(value))
                }

                /// Loads the value, as the standard library's does.
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

                /// Stores `value`, as the standard library's does.
                #[track_caller]
                pub fn store(&self, value: $value, o: Ordering) {
                    self.0.store(value, order(Location::caller(), o));
                }

                /// Replaces the value by `next` of it, as the standard library's does.
                ///
                /// # Errors
                ///
                /// Returns the value if `next` is `None`.
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

                /// Replaces `from` by `to`, as the standard library's does.
                ///
                /// # Errors
                ///
                /// Returns the value if it is not `from`.
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
            /// Changes the value and returns the old one, as the standard library's does.
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
    /// Returns a lock around `value`.
    pub fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Waits for the lock and takes it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of events that were sent. A CPU's event register counts as set while it has not seen
/// all.
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

/// Waits for an event. Unlike the instruction it never returns without one, so that a lost event is
/// a deadlock, which the model finds.
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
