// SPDX-License-Identifier: Apache-2.0
//! The command `baton`: tries Baton on a Linux, installs it, and reads what it did.
//!
//! What is to be done is decided first, as a [`plan::Plan`], from what the system shows below a
//! [`root::Root`]; only then is anything changed. So `--dry-run` prints exactly what would be done, and the
//! tests decide on systems that are folders.
//!
//! Nothing here talks to the monitor: all that it shows is in ACPI's tables, in the device tree, or in memory that
//! the tree describes.

pub mod arguments;
pub mod attempt;
pub mod boot_entries;
pub mod bootscript;
pub mod check;
pub mod esp;
pub mod evidence;
pub mod extlinux;
pub mod gantt;
pub mod hooks;
pub mod image;
pub mod install;
pub mod kcore;
pub mod kernels;
pub mod kexec;
pub mod live_log;
pub mod log;
pub mod plan;
pub mod report;
pub mod root;
pub mod run;
pub mod status;

use std::io;
use std::path::PathBuf;

/// Why a command was not done. Nothing has been changed, or all has been taken back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It writes to firmware or to a partition, or loads a kernel.
    #[error("this needs root: run it with sudo")]
    NotRoot,
    /// A file cannot be read or written.
    #[error("{}: {error}{}", path.display(), remedy(error))]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The kernel runs without Baton.
    #[error("this kernel runs without Baton: there is no report, and no log")]
    WithoutBaton,
    /// What Baton shows cannot be read.
    #[error("{place}: {reason}")]
    Unreadable {
        /// Where it is.
        place: &'static str,
        /// What was expected, and what is there.
        reason: String,
    },
    /// The command cannot be done on this machine. The text says why, and what to do.
    #[error("{0}")]
    Refused(String),
    /// A program that was started failed.
    #[error("`{command}` failed: {reason}")]
    Command {
        /// With its arguments.
        command: String,
        /// What it or the system says.
        reason: String,
    },
}

/// Returns what helps against an error of the system, to be put behind it; nothing where none is known.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => ": mount it for writing first (mount -o remount,rw)",
        io::ErrorKind::StorageFull => ": make room there first",
        _ => "",
    }
}
