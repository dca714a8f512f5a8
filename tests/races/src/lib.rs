// SPDX-License-Identifier: Apache-2.0
//! A machine whose CPUs go through the monitor's own code, on a model of memory and events.

#[cfg(any(feature = "loom", feature = "shuttle"))]
/// The machine.
pub mod world;
