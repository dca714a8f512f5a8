// SPDX-License-Identifier: Apache-2.0
//! An EFI application that firmware starts before the monitor, for tests of what the monitor does where
//! something is wrong: it damages what its load options name (`fault=…`, as [`Fault`] has them), then loads
//! and starts the monitor.
//!
//! What the monitor must not take is whole again when that loads the next loader: the kernel finds the machine
//! as it was.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod acpi;
#[cfg(target_os = "none")]
mod application;
#[cfg(target_os = "none")]
mod changes;
#[cfg(target_os = "none")]
mod fault;
#[cfg(target_os = "none")]
mod firmware;
#[cfg(target_os = "none")]
mod hooks;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod regime;
/// The monitor's: a shim loads no file without one.
#[cfg(target_os = "none")]
#[path = "../../../src/boot/efi/sbat.rs"]
mod sbat;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the application runs by UEFI firmware, not on a host");
}
