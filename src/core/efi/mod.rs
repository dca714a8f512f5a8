// SPDX-License-Identifier: Apache-2.0
//! What UEFI says of the machine.
#![forbid(unsafe_code)]

pub mod memory_map;
