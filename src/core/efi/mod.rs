// SPDX-License-Identifier: Apache-2.0
//! What UEFI says of the machine, and what its caller's CPU looks like at EL1.
#![forbid(unsafe_code)]

pub mod config;
pub mod device_path;
pub mod memory_map;
pub mod memory_reserve;
pub mod next_loader;
pub mod regime;
pub mod system_table;
pub mod tables;
mod text;

#[cfg(any(test, fuzzing))]
pub mod sample;
