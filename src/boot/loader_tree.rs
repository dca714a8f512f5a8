// SPDX-License-Identifier: Apache-2.0
//! The device tree that a loader hands over, and the console that it names.

use super::early_map;
use crate::console;
use crate::memory::stage1::MemoryKind;
use baton_core::devicetree::blob;
use baton_core::devicetree::console::Console;
use baton_core::memory::layout::PAGE;
use baton_core::memory::region::Region;
use baton_core::uart::Uart;
use core::slice;

/// Returns the device tree at physical address `fdt` as its header says its size.
///
/// It is mapped by the early map, as far as the boot protocol lets it reach.
pub fn tree(fdt: u64) -> &'static [u8] {
    // The early map ends at 48 bits.
    if fdt == 0 || !fdt.is_multiple_of(8) || fdt >> 48 != 0 {
        return &[];
    }
    // SAFETY: The early map has what begins at `fdt`; nobody writes it before the guest runs.
    let header = unsafe { slice::from_raw_parts(fdt as *const u8, 8) };
    let size = blob::size_in_header(header).unwrap_or(0);
    // SAFETY: As above.
    unsafe { slice::from_raw_parts(fdt as *const u8, size as usize) }
}

/// The PL011 of QEMU's `virt`, for a tree that does not parse and so names no other.
pub fn virtual_console() -> Console {
    Console {
        uart: Uart::PL011,
        registers: Region::new(0x0900_0000, PAGE).expect("it is no empty region"),
    }
}

/// Sends the log to `console`, through the early map.
pub fn start_console(console: &Console) {
    // SAFETY: The boot CPU is alone, on the early map, which has no device yet.
    unsafe {
        early_map::add(&console.registers, MemoryKind::Device);
        console::open(console);
    }
}
