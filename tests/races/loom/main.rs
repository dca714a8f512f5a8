// SPDX-License-Identifier: Apache-2.0
//! Goes through the orders in which CPUs can act, and the values that they can then read (loom). Of
//! the pieces it takes all orders, of whole takeovers all with a few preemptions.
//!
//! The code is the monitor's; memory, waiting and hardware are a model's. [`mutants`] shows that
//! the models find mistakes.

mod explore;
mod mutants;
mod pieces;
mod takeovers;
