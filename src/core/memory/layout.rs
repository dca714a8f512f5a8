// SPDX-License-Identifier: Apache-2.0
//! Sizes in the monitor's own memory, for the monitor and for tests that look at it from outside.

/// Size of a page in bytes.
pub const PAGE: u64 = 4096;
/// Size of a CPU's stack in bytes.
pub const STACK: u64 = 24 << 10;
/// Size in bytes of what lies below each stack and is not mapped.
pub const GUARD: u64 = PAGE;
