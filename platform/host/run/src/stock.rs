// SPDX-License-Identifier: Apache-2.0
//! How long the same kernel takes for the same kexec without the monitor.

use crate::console::{self, Limits};
use crate::kexec::{self, Times};
use crate::{Error, Machine, Task, layout, paths};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A measurement, or a memory of one.
#[derive(Clone, Copy, Debug)]
pub struct Stock {
    /// "Starting new kernel" to the next kernel's first instruction, `kexec -l -i`.
    pub away: Duration,
    /// Whether it is from an earlier run.
    pub earlier: bool,
}

/// The figure of an earlier run with the same QEMU, machine and kernel, or else a new one.
///
/// # Errors
/// Why it could not be measured, with the console's last lines if there are any.
pub fn measure(machine: &Machine, limits: Limits, again: bool) -> Result<Stock, String> {
    let file = file(machine).map_err(|error| error.to_string())?;
    let kept = fs::read_to_string(&file)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    if let Some(micros) = kept
        && !again
    {
        return Ok(Stock {
            away: Duration::from_micros(micros),
            earlier: true,
        });
    }
    let away = once(machine, limits)?.away();
    // Not kept: measured again next time.
    if let Some(directory) = file.parent()
        && fs::create_dir_all(directory).is_ok()
    {
        let _ = fs::write(&file, format!("{}\n", away.as_micros()));
    }
    Ok(Stock {
        away,
        earlier: false,
    })
}

/// Runs the stock kernel to the first instruction of the kernel that it kexecs.
fn once(machine: &Machine, limits: Limits) -> Result<Times, String> {
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
    kexec::times(&console).first().copied().ok_or_else(|| {
        format!(
            "expected the stock kernel to kexec; it did not\n{}",
            console.tail(40)
        )
    })
}

/// Where the figure is kept: outside the repository, named by all that it depends on.
fn file(machine: &Machine) -> Result<PathBuf, Error> {
    let kernel = paths::linux();
    let size = layout::kernel_size(&kernel)?;
    let length = fs::metadata(&kernel).map_or(0, |data| data.len());
    let name = format!(
        "entered{} qemu-{} smp-{} mem-{} cpu-{} gic-{} kernel-{size:x}-{length:x} {}",
        if machine.uefi.is_some() { " uefi" } else { "" },
        machine.qemu_version()?,
        machine.smp,
        machine.mem,
        machine.cpu,
        machine.gic,
        machine.extra.join(" ")
    );
    let name: String = name
        .trim()
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || ".-".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    Ok(paths::cache().join("stock").join(name))
}
