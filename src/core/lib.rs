// SPDX-License-Identifier: Apache-2.0
//! What the monitor decides without touching hardware: parsers, state machines, tables.
//!
//! All of it runs in `cargo test` on any machine, under loom and shuttle (what CPUs share), and under
//! libFuzzer (what is parsed).
#![cfg_attr(not(any(test, fuzzing)), no_std)]

extern crate alloc;
#[cfg(any(feature = "loom", feature = "shuttle"))]
extern crate std;

pub mod devicetree;
pub mod gic_tables;
pub mod hw_error;
pub mod linux;
pub mod memory;
pub mod options;
pub mod power_state;
pub mod psci;
pub mod report;
pub mod smp;
pub mod sync;
pub mod uart;
pub mod words;
