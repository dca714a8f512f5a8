// SPDX-License-Identifier: Apache-2.0
//! Atomics, locks and events, by which CPUs share state and wait for each other.
//!
//! They are the machine's own, or in `tests/races` those of a model that goes through the orders in
//! which CPUs can act.

#[cfg(target_os = "none")]
mod hints;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod machine;
#[cfg(any(feature = "loom", feature = "shuttle"))]
pub mod model;

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
pub use machine::*;
#[cfg(any(feature = "loom", feature = "shuttle"))]
pub use model::*;
