// SPDX-License-Identifier: Apache-2.0
//! What a Linux kernel has prepared for its crash, by `kexec -p`.
//!
//! - [`core_header`]: the header of the dump, with the places for the CPUs' registers;
//! - [`prstatus`]: the note that the registers go into;
//! - [`owners`]: which CPU's a note is;
//! - [`variables`]: what the kernel's code says of that;
//! - [`purgatory`]: what the crash image's digest is, and of which memory;
//! - [`sha256`]: that digest.

pub mod core_header;
pub mod owners;
pub mod prstatus;
pub mod purgatory;
pub mod sha256;
pub mod variables;
