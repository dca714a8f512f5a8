// SPDX-License-Identifier: Apache-2.0
//! Why a teardown step can fail.

use thiserror::Error;

/// Why a teardown step failed. The walk goes on, and the report names the step and this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HwError {
    /// A register did not keep the value that was written to it.
    #[error("{register} is {found:#x} after {wanted:#x} was written")]
    Sticky {
        /// The register's name, as its specification spells it.
        register: &'static str,
        /// What was written.
        wanted: u64,
        /// What was read back.
        found: u64,
    },
    /// A register did not show in time that an operation is done.
    #[error("{register} is still {found:#x} after {waited_us} us")]
    Timeout {
        /// The register's name, as its specification spells it.
        register: &'static str,
        /// What was read last.
        found: u64,
        /// How long the CPU waited, in microseconds.
        waited_us: u64,
    },
    /// A device that should be there is not.
    #[error("no {what} for {id:#x}")]
    Absent {
        /// What is missing.
        what: &'static str,
        /// The CPU (MPIDR) or the physical address that it is missing for.
        id: u64,
    },
}
