// SPDX-License-Identifier: Apache-2.0
//! `make try`: Baton on a machine that was started without it, and so as it can be tried on a server.

use crate::{limits, text, variable};
use baton_qemu::console::{self, plain};
use baton_qemu::{Machine, Task, door, kexec, paths, report};
use std::io::{Write, stdout};

/// Starts Linux at EL2, has it kexec the monitor with the same kernel behind it, and that kernel kexec once.
pub fn attempt() -> Result<(), String> {
    let mut machine = Machine::from_env(80).map_err(text)?;
    let described = if machine.uefi.is_some() {
        "firmware, described by ACPI"
    } else {
        "QEMU, described by a device tree"
    };
    println!(
        "  starting Linux at EL2 on {} vCPUs, by {described}, without the monitor",
        machine.smp
    );
    door::prepare(
        &mut machine,
        &paths::linux(),
        &paths::target().join("guest/try"),
    )
    .map_err(text)?;
    let guest = Task::Try.guest(&variable("APPEND").unwrap_or_default());
    let command = door::command(&machine, &guest).map_err(text)?;
    let mut in_report = false;
    let console = console::watch(command, limits(1800)?, |line| {
        let text = plain(&line.text);
        in_report |= text.contains("baton: report: begin");
        let shown = !in_report && worth_showing(&text);
        !shown || writeln!(stdout(), "  {:7.2} s  {text}", line.at.as_secs_f64()).is_ok()
    })
    .map_err(text)?;
    door::check(&console, machine.smp)
        .map_err(|reason| format!("{reason}\n{}", console.tail(60)))?;
    println!();
    for row in report::lines(&console).iter().flatten() {
        println!("{row}");
    }
    println!(
        "The same kernel came up at EL1 with the same command line, and then the one that it kexecs, \
         each with {0} of {0} CPUs online.",
        machine.smp
    );
    Ok(())
}

/// Whether a line says how far the machine is.
fn worth_showing(text: &str) -> bool {
    [
        "EFI stub: Booting",
        "guest: ",
        "baton: ",
        "CPU: All CPU(s) started",
        kexec::STARTING,
        kexec::BOOTING,
        kexec::BYE,
        "Kernel panic",
    ]
    .iter()
    .any(|pattern| text.contains(pattern))
}
