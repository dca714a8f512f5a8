// SPDX-License-Identifier: Apache-2.0
//! What is found out of a dump, in memory that is there before it is needed.

use alloc::boxed::Box;
use alloc::vec::Vec;
use baton_core::linux::crash::core_header::CoreHeader;
use baton_core::linux::crash::owners::Owner;

/// The header of the dump, and whose its notes are.
pub struct Dump {
    /// The header.
    pub header: Box<CoreHeader>,
    /// The indices of CPUs that have registers for a note.
    pub cpus: Vec<usize>,
    /// What is known of each of these.
    pub owners: Vec<Owner>,
}

impl Dump {
    /// Returns that of no crash, for so many CPUs.
    pub fn new(cpus: usize) -> Self {
        Self {
            header: Box::default(),
            cpus: Vec::with_capacity(cpus),
            owners: Vec::with_capacity(cpus),
        }
    }
}
