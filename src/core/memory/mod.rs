// SPDX-License-Identifier: Apache-2.0
//! Physical memory: regions of it, the guest's RAM, and the guest's own translation tables.
#![forbid(unsafe_code)]

pub mod addresses;
pub mod geometry;
pub mod guest_memory;
pub mod guest_walk;
pub mod hotplug;
pub mod layout;
pub mod region;
pub mod withheld;
