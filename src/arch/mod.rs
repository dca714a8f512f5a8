// SPDX-License-Identifier: Apache-2.0
//! The instructions that Rust has no name for: system registers, barriers, caches, TLBs, time.

// What takes more than `baton_sysreg::instruction!`: host tests have Rust in its place.
#[cfg(target_os = "none")]
pub(crate) mod assembly;
#[cfg(not(target_os = "none"))]
pub mod fake;

cfg_select! {
    target_os = "none" => { pub(crate) use assembly as routines; }
    _ => { pub(crate) use fake as routines; }
}

pub mod barrier;
pub mod cache;
pub mod copy;
pub mod probe;
pub mod sha256;
pub mod sysreg;
pub mod time;
pub mod tlb;
pub mod translate;
pub mod verify;
