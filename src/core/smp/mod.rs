// SPDX-License-Identifier: Apache-2.0
//! How CPUs are turned on and off, and taken from one kernel for the next: the protocols between
//! CPUs, on hardware that a [`platform::Platform`] stands for.
#![forbid(unsafe_code)]

pub mod arrival;
pub mod barrier;
pub mod gate;
pub mod kick;
pub mod on_off;
pub mod phases;
pub mod platform;
pub mod power;
pub mod rendezvous;
pub mod steps;
