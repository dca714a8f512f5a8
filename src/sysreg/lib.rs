// SPDX-License-Identifier: Apache-2.0
//! System registers and instructions by the names that the Arm manuals give them.
//!
//! `read_sysreg!(ICC_PMR_EL1)`, `write_sysreg!(ICC_PMR_EL1, value)` and `instruction!("dsb ish")`
//! are one instruction on the bare machine. On a PC they go to `fake`, so that tests see what
//! register code reads, writes and executes, and in which order.
//!
//! A register that there are several of is named in parts, for a macro that counts through them:
//! `read_sysreg!("DBGBCR" 3 "_EL1")`.
#![cfg_attr(target_os = "none", no_std)]

mod encodings;
pub mod gic;

// The macros have the same names in both: the CPU that is there, or the one that is not.
#[cfg(not(target_os = "none"))]
pub mod fake;
#[cfg(target_os = "none")]
mod machine;
