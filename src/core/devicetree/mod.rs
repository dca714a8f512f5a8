// SPDX-License-Identifier: Apache-2.0
//! The device tree: reads the board from it, and makes the guest's from it.
//!
//! Trees come from firmware and from guests, and may be malformed: [`blob::open`] checks the
//! structure once, and each value is checked when it is read.
#![forbid(unsafe_code)]

pub mod blob;
mod blob_error;
pub mod board;
pub(crate) mod chosen;
pub(crate) mod claimed;
pub mod console;
pub mod cpus;
pub mod dma;
pub mod error;
pub mod external_debug;
pub mod gic;
pub mod guest_console;
pub mod guest_tree;
pub mod modules;
pub mod next_map;
pub mod next_tree;
pub mod node;
pub mod psci;
mod structure;
pub mod survey;
pub mod timer;
pub mod uefi;

#[cfg(test)]
mod mutation;
#[cfg(any(test, fuzzing))]
pub mod sample;
