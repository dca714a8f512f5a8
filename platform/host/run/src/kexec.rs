// SPDX-License-Identifier: Apache-2.0
//! How long a kexec took, read off the console with the host's clock.

use crate::console::{Console, Line};
use std::time::Duration;

/// What Linux prints before it stops the other CPUs (`kernel_kexec()`).
pub const STARTING: &str = "Starting new kernel";
/// What Linux prints before it leaves, once the other CPUs are off (`machine_kexec()`).
pub const BYE: &str = "Bye!";
/// The first line of an arm64 kernel; with `earlycon` it is the first that it can print, which on 80
/// vCPUs of QEMU is seconds behind the first instruction.
pub const BOOTING: &str = "Booting Linux on physical CPU";

/// Whether a line says that a kernel is entered, on a machine that is
/// [`watched`](crate::Machine::watched).
pub fn entered(line: &Line) -> bool {
    line.text.ends_with("IN:")
}

/// The times of one kexec since QEMU was started.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// [`STARTING`]
    pub starting: Duration,
    /// [`BYE`], which a kexec that the monitor carries does not come to.
    pub bye: Option<Duration>,
    /// The next kernel's first instruction, as QEMU says.
    pub entered: Duration,
}

impl Times {
    /// From [`STARTING`] to the next kernel's first instruction.
    pub fn away(&self) -> Duration {
        self.entered.saturating_sub(self.starting)
    }
}

/// All kexecs on the console of a machine that is [`watched`](crate::Machine::watched).
pub fn times(console: &Console) -> Vec<Times> {
    let mut found = Vec::new();
    let mut starting = None;
    let mut bye = None;
    for line in &console.lines {
        if line.text.contains(STARTING) {
            (starting, bye) = (Some(line.at), None);
        } else if line.text.contains(BYE) {
            bye = Some(line.at);
        } else if entered(line)
            && let Some(starting) = starting.take()
        {
            found.push(Times {
                starting,
                bye: bye.take(),
                entered: line.at,
            });
        }
    }
    found
}
