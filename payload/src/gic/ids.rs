// SPDX-License-Identifier: Apache-2.0
//! The interrupts that tests use, and priorities of theirs, the same for every GIC.

/// The virtual timer's interrupt (BSA, 3.8.1).
pub const VIRTUAL_TIMER: u32 = 27;
/// The SGI that tests send.
pub const SGI: u32 = 0;
/// A priority for four SGIs, below [`MASK`].
pub const LOW: u32 = 0xf0f0_f0f0;
/// A priority mask that lets only higher priorities than [`LOW`] pass.
pub const MASK: u32 = 0x80;
