// SPDX-License-Identifier: Apache-2.0
//! The protocols between CPUs: how they are turned on and off, and taken over from one kernel to
//! the next.
//!
//! They run on a [`platform::Platform`]: the machine, or in `tests/races` a model of it.
#![forbid(unsafe_code)]

pub mod arrival;
pub mod barrier;
pub mod gate;
pub mod gather;

pub mod on_off;
pub mod phases;
pub mod platform;
pub mod power;
pub mod rendezvous;
pub mod stage;
pub mod steps;
