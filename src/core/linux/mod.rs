// SPDX-License-Identifier: Apache-2.0
//! What the monitor knows of an arm64 Linux kernel.
//!
//! - [`image`]: the header in front of every kernel;
//! - [`kallsyms`]: where a kernel in memory has its symbols, and from them
//! - [`sites`]: the two calls in `kernel_kexec()` that the monitor replaces;
//! - [`kimage`]: what the kernel has prepared for its kexec,
//! - [`kexec_list`]: the list of pages to move, and
//! - [`kexec_plan`]: that list checked before anything stops, and shared out among CPUs.
//!
//! All of it reads memory that a guest wrote: no input makes it panic, run on without an end, or
//! hand out an address that it has not checked.
#![forbid(unsafe_code)]

mod bytes;
#[cfg(test)]
pub(crate) mod fake;
pub mod image;
pub mod kallsyms;
pub mod kexec_list;
pub mod kexec_plan;
pub mod kimage;
pub mod ranges;
pub mod sites;
