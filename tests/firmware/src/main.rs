// SPDX-License-Identifier: Apache-2.0
//! PSCI firmware at EL3, for tests of what neither QEMU's own PSCI nor Trusted Firmware-A's port to
//! QEMU has: a CPU that powers down by `CPU_SUSPEND` or `SYSTEM_SUSPEND` sleeps until an interrupt is
//! pending for it, and begins anew then, with nothing left in its registers. Beside it there is as much of
//! an OP-TEE, of Management Mode and of SDEI as tests need.
//!
//! It runs from the flash of QEMU's `virt` (`secure=on`, `-bios`), with the MMU off, on machines with a
//! GICv3, and enters what lies at [`board::NEXT`].
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod board;
#[cfg(target_os = "none")]
mod cpu;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod gic;
#[cfg(target_os = "none")]
mod lower_level;
#[cfg(target_os = "none")]
mod management_mode;
#[cfg(target_os = "none")]
mod optee;
#[cfg(target_os = "none")]
mod psci;
#[cfg(target_os = "none")]
mod queries;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the firmware runs at EL3, not on a host");
}
