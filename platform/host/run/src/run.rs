// SPDX-License-Identifier: Apache-2.0
//! `make run`: Debian's kernel under the monitor, its kexec, and the report.

use crate::{limits, text, value, variable};
use baton_qemu::console::{self, Console, plain};
use baton_qemu::{Disk, Machine, Task, kexec, linux, paths, report, stock};
use std::fs;
use std::io::{Write, stdout};
use std::time::Duration;

/// Boots, kexecs (`GENERATIONS=` times), checks that each kernel has all CPUs, and reports.
pub fn run() -> Result<(), String> {
    let mut machine = Machine::from_env(80).map_err(text)?;
    machine.watched = true;
    machine.preallocated = true;
    let times = value("GENERATIONS", 1, "a number from 1 on")
        .map_err(text)?
        .max(1);
    if times > 1 {
        machine.disks.push(Disk::kernels(paths::kernel_disk()));
    }
    let limits = limits(900 * u64::from(times))?;
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
    let guest = Task::kexecs(times, true).guest(&variable("APPEND").unwrap_or_default());
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
    if let Err(reason) = linux::check(&console, times, machine.smp) {
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
    // Anew each time: what a host takes differs by a third from one hour to the next.
    let stock = carried.then(|| {
        println!("  timing the stock kernel's kexec -i on the same QEMU");
        stock::measure(&machine, times, limits)
    });

    println!();
    for row in found.iter().flatten() {
        println!("{row}");
    }
    println!();
    print_times(
        &console,
        under,
        stock.as_ref().and_then(|stock| stock.as_deref().ok()),
    );
    if let Some(Err(reason)) = &stock {
        println!("The stock kernel's kexec -i could not be measured: {reason}");
    }
    if stock.is_some() && machine.its && !machine.keeps_its_alive() {
        println!(
            "The machine has an ITS. The stock kernel was timed on one without, as the next kernel would die: \
             ITS=off compares them on the same machine."
        );
    }
    println!("The last kernel has {0} of {0} CPUs online.", machine.smp);
    Ok(())
}

/// A row for each kexec on the console, beside the same of the stock kernel if that was timed.
fn print_times(console: &Console, under: &str, stock: Option<&[Duration]>) {
    println!(
        "\"{}\" to the next kernel's first instruction, by the host's clock, and how much of it is from the hook on:",
        kexec::STARTING
    );
    println!("  kexec  {under:>19}  from the hook  stock, kexec -i  times shorter");
    let takeovers = report::takeovers(console);
    for (n, times) in kexec::times(console).iter().enumerate() {
        let hook = takeovers.get(n).map(|takeover| takeover.time);
        let stock = stock.and_then(|stock| stock.get(n)).copied();
        let ratio = stock.zip(hook).map(|(stock, hook)| {
            format!("{:.0}", stock.as_secs_f64() / hook.as_secs_f64().max(1e-9))
        });
        let figure = |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), seconds);
        println!(
            "  {:>5}  {:>19}  {:>13}  {:>15}  {:>13}",
            n + 1,
            seconds(times.away()),
            figure(hook),
            figure(stock),
            ratio.as_deref().unwrap_or("-")
        );
    }
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
