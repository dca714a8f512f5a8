//! How long a kexec took, read off the console with the host's clock.

use crate::Console;
use std::time::Duration;

/// What Linux prints before it stops the other CPUs (`kernel_kexec()`).
pub const STARTING: &str = "Starting new kernel";
/// What Linux prints before it leaves, once the other CPUs are off (`machine_kexec()`).
pub const BYE: &str = "Bye!";
/// The first line of an arm64 kernel; with `earlycon` it is printed at once.
pub const BOOTING: &str = "Booting Linux on physical CPU";

/// The times of one kexec since QEMU was started.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// [`STARTING`]
    pub starting: Duration,
    /// [`BYE`], which a kexec that the monitor carries does not come to.
    pub bye: Option<Duration>,
    /// [`BOOTING`] of the next kernel.
    pub booting: Duration,
}

impl Times {
    /// From [`STARTING`] to [`BOOTING`].
    pub fn away(&self) -> Duration {
        self.booting.saturating_sub(self.starting)
    }
}

/// All kexecs on the console that came to the next kernel.
pub fn times(console: &Console) -> Vec<Times> {
    let mut found = Vec::new();
    let mut starting = None;
    let mut bye = None;
    for line in &console.lines {
        if line.text.contains(STARTING) {
            (starting, bye) = (Some(line.at), None);
        } else if line.text.contains(BYE) {
            bye = Some(line.at);
        } else if line.text.contains(BOOTING)
            && let Some(starting) = starting.take()
        {
            found.push(Times {
                starting,
                bye: bye.take(),
                booting: line.at,
            });
        }
    }
    found
}
