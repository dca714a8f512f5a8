// SPDX-License-Identifier: Apache-2.0
//! What the monitor decides without touching hardware: parsers, state machines, tables, and the
//! protocols between CPUs.
//!
//! All of it runs in `cargo test` on any machine. What CPUs share also runs under loom and shuttle
//! (`tests/races`), and what parses input under libFuzzer (`tests/fuzz`).
#![cfg_attr(not(any(test, fuzzing)), no_std)]

extern crate alloc;
#[cfg(any(feature = "loom", feature = "shuttle"))]
extern crate std;

pub mod acpi;
pub mod description;
pub mod devicetree;
pub mod efi;
pub mod el3_features;
pub mod errata;
pub mod firmware_tables;
pub mod gic_tables;
pub mod hardware;
pub mod hw_error;
pub mod linux;
mod little_endian;
pub mod log_ring;
pub mod management_mode;
pub mod memory;
pub mod mpidr;
pub mod options;
pub mod os_lock;
pub mod pci;
pub mod power_state;
pub mod psci;
pub mod pstate;
pub mod report;
pub mod sdei;
pub mod smccc;
pub mod smmu;
pub mod smp;
pub mod sync;
pub mod tee;
pub mod uart;
pub mod words;
