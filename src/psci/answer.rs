// SPDX-License-Identifier: Apache-2.0
//! What a PSCI call is answered, and the checks that several functions share.

use crate::memory::guest_ram::GuestRam;
use arm_psci::ErrorCode;
use baton_core::memory::guest_memory::GuestMemory;

/// What a call returns in x0.
pub type Answer = Result<u64, ErrorCode>;

/// Bytes of an instruction.
const INSTRUCTION: u64 = 4;

/// A CPU can only begin in the guest's own memory, as it was at boot: no kernel lies in what is plugged in
/// later, and an address where nothing is shall be refused.
///
/// # Errors
///
/// `INVALID_ADDRESS` if no instruction of the guest can be at physical address `entry`.
pub fn check_entry(ram: &GuestRam, entry: u64) -> Result<(), ErrorCode> {
    let whole = entry.is_multiple_of(INSTRUCTION);
    match whole && ram.contains(entry, INSTRUCTION) {
        true => Ok(()),
        false => Err(ErrorCode::InvalidAddress),
    }
}
