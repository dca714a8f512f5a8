// SPDX-License-Identifier: Apache-2.0
//! Whether the monitor writes to the UART while a kernel runs: only if that is the kernel's console.

use crate::console;
use crate::machine::Machine;

/// Decides it for the kernel that begins with the device tree at physical address `tree`. To be called
/// with all vCPUs in the monitor.
///
/// A UART that a kernel before did not use may be without its clock. It is used again only by a kernel
/// that does so itself from the start, as its drivers may switch it on much later.
pub fn hand_over(machine: &Machine, tree: u64) {
    let Some(uart) = &machine.uart else {
        return;
    };
    let was_shown = console::is_shown();
    let usage = machine.ram.device_tree(tree).map(|range| {
        // SAFETY: All vCPUs are in the monitor.
        uart.usage(unsafe { range.bytes() })
    });
    let usage = usage.unwrap_or_default();
    let shown = machine.options.log_to_uart || usage.console && (was_shown || usage.early);
    if was_shown && !shown {
        log::info!(
            "the kernel's console is not this UART: from here on the log is kept in memory alone (log=uart: here too)"
        );
    }
    console::show(shown);
}
