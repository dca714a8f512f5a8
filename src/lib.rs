// SPDX-License-Identifier: Apache-2.0
//! Baton: an EL2 monitor that carries an arm64 machine from one kernel to the next.
//!
//! Imports go one way, from the top of this list to its end (docs/ARCHITECTURE.md):
//! [`boot`] → [`exit`] → [`psci`], [`kexec_hooks`], [`baton_calls`] → [`takeover`] → [`report`],
//! [`firmware`] → [`machine`] → [`gic`], [`vcpu`], [`console`], [`memory`], [`dma`] → [`arch`] → the crates
//! `baton-core` and `baton-abi`.
#![no_std]

extern crate alloc;
// Fakes are per thread.
#[cfg(not(target_os = "none"))]
extern crate std;

pub mod arch;
pub mod baton_calls;
// Entry code and vectors in assembly: there is nothing for a PC to enter.
#[cfg(target_os = "none")]
pub mod boot;
pub mod console;
pub mod dma;
#[cfg(target_os = "none")]
pub mod exit;
pub mod firmware;
pub mod gic;
pub mod kexec_hooks;
pub mod machine;
pub mod memory;
pub mod psci;
pub mod report;
pub mod takeover;
pub mod tee;
pub mod vcpu;
