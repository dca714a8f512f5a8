// SPDX-License-Identifier: Apache-2.0
//! Tests that boot Baton in QEMU: what they share.
//!
//! Everything here panics with what was expected, what was seen, and the console, as a test should.

mod boot;
pub mod debugger;
mod kernel;
mod loader;
mod memory;
mod scratch;
mod times;

pub use boot::{
    Boot, boot, boot_answered, boot_command, boot_guest_firmware, boot_modules, boot_observed,
    boot_u_boot, boot_watched, machine, number, uefi_machine,
};
pub use kernel::Kernel;
pub use loader::{Blob, boot_by_hand, boot_changed, command_changed, tree};
pub use memory::{boot_and_look, boot_and_save};
pub use scratch::Scratch;
pub use times::Times;
