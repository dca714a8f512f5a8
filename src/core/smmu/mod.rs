// SPDX-License-Identifier: Apache-2.0
//! What a guest may have an SMMUv3 do (Arm IHI 0070), with stage 2 of the monitor's in front of all its streams.
//!
//! The guest has the SMMU as its driver expects it; what the SMMU follows is a copy of the monitor's: of the
//! [stream table](table) with [entries](entry) to which stage 2 was added, and of the queue with the
//! [commands](command) that may go on. What the guest reads and writes of the registers is in [`registers`].
#![forbid(unsafe_code)]

pub mod command;
pub mod entry;
pub mod identity;
pub mod queue;
pub mod registers;
pub mod table;

/// How many commands the guest's queue has at most, as a power of two: what is copied at one exit.
pub const QUEUE_BITS: u32 = 10;
/// Bits of the stream IDs that are served at most: a segment of PCI.
pub const STREAM_BITS: u32 = 16;
/// Streams of a table of the second level, as a power of two: a page of the monitor's.
pub const SPLIT: u32 = 6;
