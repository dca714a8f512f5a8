// SPDX-License-Identifier: Apache-2.0
//! Baton on QEMU's `virt` machine: its command line, its console, and what is read off it.
//!
//! The machine is a [`Machine`], filled from the environment that `make` passes on; what runs on it
//! is a [`Guest`]. [`console::watch`] starts it and returns every line of its console with the host's
//! time, within bounds.

pub mod checksum;
pub mod console;
pub mod door;
pub mod environment;
pub mod firmware;
pub mod gdb;
pub mod hang;
pub mod kexec;
pub mod layout;
pub mod linux;
pub mod machine;
pub mod paths;
pub mod pe;
pub mod report;
pub mod samples;
pub mod scratch;
mod script;
mod script_disk;
pub mod stock;
pub mod symbols;
pub mod uefi;
pub mod walk;

pub use checksum::checksum;
pub use console::{Console, End, Limits};
pub use firmware::Firmware;
pub use linux::Task;
pub use machine::{Disk, Guest, Machine, Module};
pub use script_disk::script_disk;
pub use uefi::Uefi;

use std::path::PathBuf;
use std::process::ExitCode;

/// Ends a program: prints why it failed, if it did.
pub fn exit_code(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Why QEMU was not started, or could not be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A variable of the environment does not have a value that can be used.
    #[error("{name}={value}: expected {expected}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A file is missing or cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A program could not be started or watched.
    #[error("cannot run {program}: {error}")]
    Program {
        /// Its name.
        program: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The guest's modules do not fit in the machine's memory.
    #[error("{what} of {size:#x} bytes does not fit in {mem} MiB of memory: try a larger MEM=")]
    Memory {
        /// The module.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The machine's memory in MiB.
        mem: u64,
    },
}
