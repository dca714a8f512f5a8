//! What the monitor knows of an arm64 Linux kernel.
//!
//! - [`image`]: the header in front of every kernel;
//! - [`kallsyms`]: where a kernel in memory has its symbols, and from them
//! - [`sites`]: the two calls in `kernel_kexec()` that the monitor replaces;
//!
//! All of it reads memory that a guest wrote: no input makes it panic, run on without an end, or
//! hand out an address that it has not checked.
#![forbid(unsafe_code)]

mod bytes;
pub mod image;
pub mod kallsyms;
pub mod sites;
