// SPDX-License-Identifier: Apache-2.0
//! `make run`: Debian's kernel under the monitor, its kexec, and the report.

use crate::{limits, text, variable};
use baton_qemu::console::{self, Console, plain};
use baton_qemu::{Machine, Task, kexec, linux, paths, report, stock};
use std::fs;
use std::io::{Write, stdout};
use std::time::Duration;

/// Boots, kexecs, checks that the next kernel has all CPUs, and reports.
pub fn run() -> Result<(), String> {
    let mut machine = Machine::from_env(80).map_err(text)?;
    machine.watched = true;
    let limits = limits(900)?;
    let under = if machine.monitor.is_some() {
        "under Baton"
    } else {
        "without the monitor"
    };
    let version = machine.qemu_version().map_err(text)?;
    println!(
        "  starting Linux on {} vCPUs {under} (QEMU {version})",
        machine.smp
    );
    if machine.monitor.is_none() && machine.its && !machine.keeps_its_alive() {
        println!("  the next kernel is going to die: its ITS is as the last one left it (ITS=off)");
    }
    let guest = Task::Kexec {
        times: 1,
        checks: true,
    }
    .guest(&variable("APPEND").unwrap_or_default());
    let command = machine.command(&guest).map_err(text)?;
    let mut in_report = false;
    let console = console::watch(command, limits, |line| {
        let text = plain(&line.text);
        in_report |= text.contains("baton: report: begin");
        let shown = !in_report && worth_showing(&text);
        !shown || writeln!(stdout(), "  {:7.2} s  {text}", line.at.as_secs_f64()).is_ok()
    })
    .map_err(text)?;
    let log = keep(&console);
    if let Err(reason) = linux::check(&console, 1, machine.smp) {
        return Err(format!(
            "{reason}\n{}\nThe whole console: {log}",
            console.tail(30)
        ));
    }
    let carried = machine.monitor.is_some() && !machine.baton.contains("hooks=off");
    let found = report::lines(&console);
    if carried && found.is_none() {
        return Err(format!(
            "expected the monitor's report of the kexec; there is none in {log}"
        ));
    }
    let stock = carried.then(|| {
        // Anew each time: what a host takes differs by a third from one hour to the next.
        println!("  timing the stock kernel's kexec -i on the same QEMU");
        stock::measure(&machine, limits)
    });

    println!();
    for row in found.iter().flatten() {
        println!("{row}");
    }
    println!();
    println!(
        "\"{}\" to the next kernel's first instruction, by the host's clock:",
        kexec::STARTING
    );
    match kexec::times(&console).first() {
        Some(times) => println!("  {under:<22} {}", seconds(times.away())),
        None => println!("  {under:<22} not seen"),
    }
    let timed_without_its = machine.its && !machine.keeps_its_alive();
    let without = if timed_without_its { ", no ITS" } else { "" };
    match stock {
        Some(Ok(stock)) => {
            let label = format!("stock, kexec -i{without}");
            println!("  {label:<22} {}", seconds(stock));
            if let Some(taken) = found.as_deref().and_then(report::hook_to_first_instruction) {
                let ratio = stock.as_secs_f64() / taken.as_secs_f64().max(1e-9);
                println!(
                    "Hook to first instruction: {}, {ratio:.0} times shorter than stock",
                    seconds(taken)
                );
            }
            if timed_without_its {
                println!(
                    "The machine has an ITS. The stock kernel was timed on one without, as the next \
                     kernel would die: ITS=off compares them on the same machine."
                );
            }
        }
        Some(Err(reason)) => println!("  stock, kexec -i        could not be measured: {reason}"),
        None => {}
    }
    println!("The second kernel has {0} of {0} CPUs online.", machine.smp);
    Ok(())
}

/// Whether a line says how far the machine is.
fn worth_showing(text: &str) -> bool {
    [
        "UEFI firmware",
        "BdsDxe: ",
        "EFI stub: Booting",
        "guest: ",
        "baton: ",
        kexec::STARTING,
        kexec::BOOTING,
        kexec::BYE,
        "smp: Brought up",
        "Kernel panic",
    ]
    .iter()
    .any(|pattern| text.contains(pattern))
}

/// Writes the console beside the build, and says where.
fn keep(console: &Console) -> String {
    let path = paths::target().join("run.log");
    match fs::write(&path, console.tail(usize::MAX)) {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("(not kept: {}: {error})", path.display()),
    }
}

fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        long if long >= 1.0 => format!("{long:.2} s"),
        short => format!("{:.3} ms", short * 1e3),
    }
}
