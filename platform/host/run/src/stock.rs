// SPDX-License-Identifier: Apache-2.0
//! How long the same kernel takes for the same kexec without the monitor.

use crate::console::{self, Limits};
use crate::{Machine, Task, kexec};
use std::time::Duration;

/// Times each `kexec -l -i` of stock kernels on `machine`, without the monitor, and without an ITS if the next kernel
/// would die of it: from "Starting new kernel" to the next kernel's first instruction.
///
/// # Errors
/// Why it could not be measured, with the console's last lines if there are any.
pub fn measure(machine: &Machine, times: u32, limits: Limits) -> Result<Vec<Duration>, String> {
    let machine = Machine {
        monitor: None,
        its: machine.its && machine.keeps_its_alive(),
        watched: true,
        preallocated: true,
        ..machine.clone()
    };
    let guest = Task::kexecs(times, false).guest("");
    let command = machine.command(&guest).map_err(|error| error.to_string())?;
    let mut starting = false;
    let mut entered = 0;
    let console = console::watch(command, limits, |line| {
        starting |= line.text.contains(kexec::STARTING);
        if starting && kexec::entered(line) {
            (starting, entered) = (false, entered + 1);
        }
        entered < times
    })
    .map_err(|error| error.to_string())?;
    let seen = kexec::times(&console);
    if seen.len() != times as usize {
        return Err(format!(
            "expected the stock kernel to kexec, {times} in a row; seen {}\n{}",
            seen.len(),
            console.tail(40)
        ));
    }
    Ok(seen.iter().map(kexec::Times::away).collect())
}
