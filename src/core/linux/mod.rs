// SPDX-License-Identifier: Apache-2.0
//! What the monitor reads of an arm64 Linux kernel.
//!
//! - [`image`]: the header in front of every kernel;
//! - [`kallsyms`]: the symbols of a kernel in memory;
//! - [`sites`]: the two calls in `kernel_kexec()` that the monitor patches, found by those symbols;
//! - [`kimage`]: what the kernel has prepared for its kexec;
//! - [`kexec_list`]: the list of pages to move;
//! - [`kexec_plan`]: that list, checked and copied by all CPUs at once;
//! - [`crash`]: what it has prepared for its crash.
//!
//! All of it reads memory that a guest has written. Whatever is there, no function panics, runs
//! without end, or returns an address that it has not checked.
#![forbid(unsafe_code)]

pub mod crash;
#[cfg(test)]
pub(crate) mod fake;
pub mod image;
pub mod kallsyms;
pub mod kexec_list;
pub mod kexec_plan;
pub mod kimage;
pub mod ranges;
pub mod sites;
