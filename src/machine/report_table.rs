// SPDX-License-Identifier: Apache-2.0
//! The ACPI table that has the report of the last reboot, and the log.

use crate::memory::guest_ram::GuestRange;
use core::sync::atomic::AtomicU64;

/// Where the table is, and what has been written there.
pub struct ReportTable {
    /// Where it is: in the guest's memory, which a kernel without ACPI uses as any other.
    pub place: GuestRange,
    /// The offset up to which it has the log.
    pub logged: AtomicU64,
}

impl ReportTable {
    /// Takes `place` for that of a table without any line of the log.
    pub fn new(place: GuestRange) -> Self {
        Self {
            place,
            logged: AtomicU64::new(0),
        }
    }
}
