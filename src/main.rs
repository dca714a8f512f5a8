// SPDX-License-Identifier: Apache-2.0
//! The monitor's image: `baton::boot` has its first instruction.
#![no_std]
#![no_main]

use baton::exit::panicked;
use baton::memory::heap::Global;
use core::panic::PanicInfo;

#[global_allocator]
static GLOBAL: Global = Global;

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    panicked(info)
}
