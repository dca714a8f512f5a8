// SPDX-License-Identifier: Apache-2.0
//! A disk by which the Debian of `make distro` is told what to do.

use crate::{Disk, Error, script};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// The serial number by which its service finds the disk (`distro.sh`).
const SERIAL: &str = "run-script";

/// Writes such a disk to `output`: the program `run`, which is run in every system that comes up, and what
/// lies beside it there.
///
/// # Errors
/// [`Error::Program`] if `tar` cannot be run, or fails: a file is not there.
pub fn script_disk(output: &Path, run: &Path, beside: &[&Path]) -> Result<Disk, Error> {
    let mut tar = Command::new("tar");
    tar.args(["-c", "--format=ustar", "--owner=0", "--group=0", "-f"]);
    tar.arg(output);
    let name = run.file_name().unwrap_or(OsStr::new("")).to_string_lossy();
    tar.arg(format!("--transform=s,^{name}$,run,"));
    for file in [&[run], beside].concat() {
        tar.arg("-C").arg(file.parent().unwrap_or(Path::new("/")));
        tar.arg(file.file_name().unwrap_or(OsStr::new(".")));
    }
    script::run(&mut tar)?;
    Ok(Disk {
        file: output.to_owned(),
        serial: SERIAL,
        writable: false,
    })
}
