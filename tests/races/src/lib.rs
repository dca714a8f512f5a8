// SPDX-License-Identifier: Apache-2.0
//! A model of the machine, on which the monitor's own code for CPU_ON, CPU_OFF and takeovers runs
//! under loom or shuttle.

#[cfg(any(feature = "loom", feature = "shuttle"))]
pub mod plain;
#[cfg(any(feature = "loom", feature = "shuttle"))]
pub mod world;
