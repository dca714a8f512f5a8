// SPDX-License-Identifier: Apache-2.0
//! Scripts that are run on the way.

use crate::Error;
use std::io;
use std::process::Command;

/// Runs a script to its end.
///
/// # Errors
/// [`Error::Program`] if it cannot be started, or fails.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    let status = command.status().and_then(|status| match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("it ended with {status}"))),
    });
    status.map_err(|error| Error::Program {
        program: command.get_program().to_string_lossy().into_owned(),
        error,
    })
}
