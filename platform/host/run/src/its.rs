// SPDX-License-Identifier: Apache-2.0
//! `make its`: a kexec on a machine with an ITS, without the monitor, and many under it.

use crate::{limits, text, value};
use baton_qemu::console::{self, Console, Limits};
use baton_qemu::{Machine, Task, kexec, linux, paths, scratch};
use std::io::{Write, stdout};
use std::time::Duration;

/// Shows that the stock kernel's successor dies, and that under the monitor all live and have their
/// interrupts by messages.
pub fn its() -> Result<(), String> {
    let mut machine = Machine::from_env(4).map_err(text)?;
    machine.its = true;
    let times = value("GENERATIONS", 10, "a number").map_err(text)?;
    let smp = machine.smp;

    println!("  kexec on {smp} vCPUs without the monitor:");
    let plain = Machine {
        monitor: None,
        ..machine.clone()
    };
    let guest = Task::Kexec {
        times: 1,
        checks: false,
    }
    .guest("");
    let mut bounds = limits(600)?;
    bounds.silence = Duration::from_secs(60);
    let console = watch(&plain, &guest, bounds)?;
    console
        .find(kexec::BYE)
        .ok_or_else(|| format!("expected the stock kernel to kexec\n{}", console.tail(40)))?;
    if linux::generations(&console).len() > 1 {
        return Err("expected the stock kernel's successor to die; it lives".into());
    }
    println!("  The next kernel did not come up: {}.", console.end);

    println!("\n  {times} times kexec on {smp} vCPUs under Baton:");
    let file = paths::target().join("guest/its-scratch.img");
    let disk = scratch::create(&file, times).map_err(text)?;
    machine.disks.push(disk.clone());
    let guest = Task::Disk { times }.guest("");
    let console = watch(&machine, &guest, limits(120 + 60 * u64::from(times))?)?;
    linux::check(&console, times, smp)
        .and_then(|()| scratch::check(&console, &disk, times))
        .map_err(|reason| format!("{reason}\n{}", console.tail(60)))?;
    println!("  All {times} came up with {smp} CPUs, and their interrupts by messages worked.");
    Ok(())
}

/// Runs a guest and shows what matters of its console.
fn watch(machine: &Machine, guest: &baton_qemu::Guest, limits: Limits) -> Result<Console, String> {
    let command = machine.command(guest).map_err(text)?;
    console::watch(command, limits, |line| {
        let shown = ["guest: gen", "guest: disk", "guest: FAIL", "baton: gen"]
            .iter()
            .chain(&[
                kexec::STARTING,
                kexec::BYE,
                "Internal error",
                "Kernel panic",
            ])
            .chain(&[
                "LPI property table",
                "Using preallocated",
                "Unable to handle",
            ])
            .any(|pattern| line.text.contains(pattern));
        !shown || writeln!(stdout(), "    {}", line.text).is_ok()
    })
    .map_err(text)
}
