// SPDX-License-Identifier: Apache-2.0
//! Whether the monitor writes to the UART while a kernel runs: only if that is the kernel's console.

use crate::console;
use crate::machine::Machine;
use baton_core::devicetree::guest_console::Usage;

/// Returns how the kernel that begins with the device tree `tree` uses the UART; `None` if there is none.
pub fn usage(machine: &Machine, tree: &[u8]) -> Option<Usage> {
    machine.uart.as_ref().map(|uart| uart.usage(tree))
}

/// Decides it for the kernel that begins with the device tree at physical address `tree`, whose
/// [`usage`] was found if it is `known`. To be called with all vCPUs in the monitor.
///
/// A UART that a kernel before did not use may be without its clock. It is used again only by a kernel
/// that does so itself from the start, as its drivers may switch it on much later.
pub fn hand_over(machine: &Machine, tree: u64, known: Option<Usage>) {
    if machine.uart.is_none() {
        return;
    }
    let was_shown = console::is_shown();
    let look = || {
        let range = machine.ram.device_tree(tree)?;
        // SAFETY: All vCPUs are in the monitor.
        usage(machine, unsafe { range.bytes() })
    };
    let usage = known.or_else(look).unwrap_or_default();
    let shown = machine.options.log_to_uart || usage.console && (was_shown || usage.early);
    if was_shown && !shown {
        log::info!(
            "the kernel's console is not this UART: from here on the log is kept in memory alone (log=uart: here too)"
        );
    }
    console::show(shown);
}
