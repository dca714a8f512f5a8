// SPDX-License-Identifier: Apache-2.0
//! What can go wrong in a step.

use thiserror::Error;

/// Why a step did not do all it should. The teardown goes on; the report names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HwError {
    /// A register does not take a value.
    #[error("{register} is {found:#x} after {wanted:#x} was written")]
    Sticky {
        /// The register's name, as its specification spells it.
        register: &'static str,
        /// What was written.
        wanted: u64,
        /// What was read back.
        found: u64,
    },
    /// A register did not say in time that it is done.
    #[error("{register} is still {found:#x} after {waited_us} us")]
    Timeout {
        /// The register's name, as its specification spells it.
        register: &'static str,
        /// What was read last.
        found: u64,
        /// How long was waited, in microseconds.
        waited_us: u64,
    },
    /// A device that should be there is not.
    #[error("no {what} for {id:#x}")]
    Absent {
        /// What is missing.
        what: &'static str,
        /// For which CPU (MPIDR) or at which physical address.
        id: u64,
    },
}
