// SPDX-License-Identifier: Apache-2.0
//! How long the same kernel takes for the same kexec without the monitor.

use crate::console::{self, Limits};
use crate::{Machine, Task, kexec};
use std::time::Duration;

/// Times `kexec -l -i` of the stock kernel on `machine`, without the monitor, and without an ITS if the next kernel
/// would die of it: from "Starting new kernel" to the next kernel's first instruction.
///
/// # Errors
/// Why it could not be measured, with the console's last lines if there are any.
pub fn measure(machine: &Machine, limits: Limits) -> Result<Duration, String> {
    let machine = Machine {
        monitor: None,
        its: machine.its && machine.keeps_its_alive(),
        watched: true,
        ..machine.clone()
    };
    let guest = Task::Kexec {
        times: 1,
        checks: false,
    }
    .guest("");
    let command = machine.command(&guest).map_err(|error| error.to_string())?;
    let mut starting = false;
    let console = console::watch(command, limits, |line| {
        starting |= line.text.contains(kexec::STARTING);
        !(starting && kexec::entered(line))
    })
    .map_err(|error| error.to_string())?;
    let times = kexec::times(&console);
    times.first().map(kexec::Times::away).ok_or_else(|| {
        format!(
            "expected the stock kernel to kexec; it did not\n{}",
            console.tail(40)
        )
    })
}
