// SPDX-License-Identifier: Apache-2.0
//! Physical memory: regions of it, and the guest's part of it.
#![forbid(unsafe_code)]

pub mod guest_memory;
pub mod guest_walk;
pub mod region;
