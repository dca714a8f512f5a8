// SPDX-License-Identifier: Apache-2.0
//! Helpers of the fuzz targets: they read inputs, and build from them what is parsed.
//!
//! Where random bytes would seldom be anything that parses, an input is a short program that builds
//! the thing: changes to a sound device tree, or writes to a guest's memory.

pub mod efi;
pub mod input;
pub mod memory;
pub mod tables;
pub mod trees;
