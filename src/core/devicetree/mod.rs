// SPDX-License-Identifier: Apache-2.0
//! The device tree: what the board is, and what the guest is told of it.
//!
//! Trees come from firmware and from kernels, so nothing in them is trusted to be well-formed:
//! [`blob::open`] checks the structure once, and what is read after that is checked by value.
#![forbid(unsafe_code)]

pub mod blob;
pub mod board;
mod chosen;
pub mod console;
pub mod cpus;
pub mod error;
pub mod gic;
pub mod guest_tree;
pub mod modules;
pub mod next_tree;
pub mod node;
pub mod psci;

#[cfg(test)]
mod mutation;
#[cfg(any(test, fuzzing))]
pub mod sample;
