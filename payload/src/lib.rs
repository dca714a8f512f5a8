// SPDX-License-Identifier: Apache-2.0
//! The probe: a bare-metal guest at EL1 that tries the monitor.
//!
//! An arm64 Image and an EFI application; without the page of its header, a flat binary that is entered at its
//! first byte with x0 = device tree, MMU and caches off. Its console lines begin with `probe: `, and the last
//! one says `PASS` or `FAIL` with what was expected and what was seen. `/chosen/bootargs`, or the load options
//! say what to do: see `options` for the words and `tests` for the tests. On a host the crate is empty.
#![no_std]
#![cfg(target_os = "none")]
#![expect(
    clippy::result_large_err,
    reason = "a failure carries its text, and it ends the run"
)]

extern crate alloc;

mod arena;
mod arrival;
mod audit;
mod call;
mod console;
mod context;
mod cpu;
mod cpus;
mod efi;
mod entry;
mod entry_state;
mod exception;
mod finish;
mod firmware_tables;
mod gic;
mod handover;
mod heap;
mod hints;
mod image;
mod jobs;
mod kexec;
mod list;
mod machine;
mod mmio;
mod mmu;
mod monitor;
mod options;
mod outcome;
mod pattern;
mod pci;
mod report;
mod run;
mod smmu;
mod states;
mod tests;
mod time;
mod tree;

use crate::finish::fail_and_stop;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    fail_and_stop(format_args!("no panic expected, seen {info}"))
}
