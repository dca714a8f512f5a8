// SPDX-License-Identifier: Apache-2.0
//! What the fuzz targets share: how their inputs are read, and what they are made into.
//!
//! An input is a short program for what a target builds, rather than the thing itself, wherever
//! random bytes would seldom be one: changes to a sound device tree, writes to a guest's memory.

pub mod input;
pub mod memory;
pub mod trees;
