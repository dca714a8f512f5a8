// SPDX-License-Identifier: Apache-2.0
//! The instructions that Rust has no name for: system registers, barriers, caches, TLBs, time.

pub mod barrier;
pub mod cache;
pub mod copy;
pub mod sysreg;
pub mod time;
pub mod tlb;
pub mod translate;
pub mod verify;
