// SPDX-License-Identifier: Apache-2.0
//! Secure Boot as a distribution has it: firmware trusts Microsoft's keys, those trust shim, and shim trusts its
//! distribution's key and the machine owner's.

use super::read;
use super::variables::Variables;
use crate::{Error, paths, script};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Puts the keys in that firmware and shim go by.
///
/// # Errors
/// [`Error::File`] if they cannot be read.
pub fn enroll(variables: &mut Variables) -> Result<(), Error> {
    variables.enroll(&read(&paths::secure_boot("VARS.fd"))?);
    variables.own(&read(&paths::owner_keys().join("MOK.der"))?);
    Ok(())
}

/// Signs a PE file with the machine owner's key. Files are written to `folder`.
///
/// # Errors
/// [`Error::File`] for a file that cannot be written or read, [`Error::Program`] if it is not signed.
pub fn sign(file: &[u8], folder: &Path) -> Result<Vec<u8>, Error> {
    let (unsigned, signed) = (folder.join("unsigned.efi"), folder.join("signed.efi"));
    fs::write(&unsigned, file).map_err(|error| Error::File {
        path: unsigned.clone(),
        error,
    })?;
    let mut command = Command::new(paths::guest_script("sign.sh"));
    script::run(command.args([&paths::owner_keys(), &unsigned, &signed]))?;
    read(&signed)
}
