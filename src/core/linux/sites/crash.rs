// SPDX-License-Identifier: Apache-2.0
//! Where a kernel leaves for its crash kernel after a panic.
//!
//! `__crash_kexec()` calls `machine_crash_shutdown()`, which nothing else does, and then `machine_kexec()`. Its
//! callers are `panic()` and, beside it in the same file, `crash_kexec()`, into which a compiler may inline it
//! (clang does, and has two copies then). A copy anywhere else is not looked for: there the kernel's own path
//! runs.

use super::{HookSites, NoSites, calls};
use crate::linux::crash::variables::{self, Variables};
use core::ops::Range;

/// The functions that are looked at.
pub(super) const LEAVERS: [&str; 2] = ["__crash_kexec", "crash_kexec"];

/// The calls by which an unmodified kernel leaves after a panic, in each copy of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashSites {
    copies: [Option<HookSites>; LEAVERS.len()],
    variables: Variables,
    kimage: Option<u64>,
}

impl CrashSites {
    /// Finds them in `functions`, those of [`LEAVERS`] that there are; `shutdown` and `kexec` are where the
    /// functions are that they call, and `save` is `crash_save_cpu()`, if there is one. All are offsets from the
    /// start of the Image.
    ///
    /// # Errors
    ///
    /// Returns [`NoSites`] unless all of them are certain.
    pub(super) fn find(
        image: &[u8],
        functions: [Option<Range<u64>>; LEAVERS.len()],
        shutdown: u64,
        kexec: u64,
        save: Option<Range<u64>>,
    ) -> Result<Self, NoSites> {
        let variables = save.map(|code| variables::read_by(image, code));
        let mut copies = [None; LEAVERS.len()];
        let mut kimage = None;
        for ((copy, name), function) in copies.iter_mut().zip(LEAVERS).zip(functions) {
            if let Some(function) = function {
                let start = function.start;
                *copy = pair(image, name, function, shutdown, kexec)?;
                let argument =
                    |copy: &HookSites| variables::argument(image, start, copy.kexec.offset);
                kimage = kimage.or_else(|| copy.as_ref().and_then(argument));
            }
        }
        match copies.iter().any(Option::is_some) {
            true => Ok(Self {
                copies,
                variables: variables.unwrap_or_default(),
                kimage,
            }),
            false => Err(NoSites::NoCrash),
        }
    }

    /// Returns the variables of the kernel among which is where the notes for the CPUs' registers are.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Returns where the kernel has `kexec_crash_image`, the pointer to its crash kernel's kimage, if the code shows
    /// it: an offset in bytes, a multiple of 8 inside the Image.
    pub fn kimage(&self) -> Option<u64> {
        self.kimage
    }

    /// Returns each copy.
    pub fn copies(&self) -> impl Iterator<Item = &HookSites> {
        self.copies.iter().flatten()
    }
}

/// Returns the two calls in `code`, which is function `name`, if it has any.
fn pair(
    image: &[u8],
    name: &'static str,
    code: Range<u64>,
    shutdown: u64,
    kexec: u64,
) -> Result<Option<HookSites>, NoSites> {
    let only = |target| {
        let mut calls = calls(image, code.clone(), target);
        let first = calls.next();
        (first, usize::from(first.is_some()) + calls.count())
    };
    match (only(shutdown), only(kexec)) {
        ((_, 0), (_, 0)) => Ok(None),
        ((Some(shutdown), 1), (Some(kexec), 1)) if shutdown.offset < kexec.offset => {
            Ok(Some(HookSites { shutdown, kexec }))
        }
        ((_, 1), (_, 1)) => Err(NoSites::CrashOrder(name)),
        ((_, shutdown), (_, kexec)) => Err(NoSites::CrashPair {
            name,
            shutdown,
            kexec,
        }),
    }
}

#[cfg(test)]
mod tests;
