// SPDX-License-Identifier: Apache-2.0
//! `make kernels-built`: where the calls of each kernel are, and a kexec of each, carried and refused.

mod facts;

use crate::{limits, text, variable};
use baton_qemu::{Console, Guest, Machine, Task, console, kexec, linux, paths, report};
use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the monitor says of the calls that it patched, and of none.
const HOOKS: &str = "baton: hooks: ";

/// What is shown of one kernel.
struct Row {
    name: String,
    hooks: String,
    carried: Result<Duration, String>,
    refused: Result<&'static str, String>,
}

/// Runs the kernels that `kernels-built.sh` names in `folder`, and prints the table.
pub fn built(folder: &Path) -> Result<(), String> {
    let mut machine = Machine::from_env(4).map_err(text)?;
    if variable("CPU").is_none() {
        // It has BTI, pointer authentication and all sizes of page.
        machine.cpu = "max,pauth-impdef=on".into();
    }
    let list = folder.join("list");
    let names =
        fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let mut rows = Vec::new();
    for name in names.lines() {
        println!("  {name}");
        keep_facts(folder, name)?;
        let (hooks, carried) = carried(&machine, folder, name)?;
        let refused = refused(&machine, folder, name)?;
        rows.push(Row {
            name: name.to_owned(),
            hooks,
            carried,
            refused,
        });
    }
    table(&machine, &rows);
    let failed = rows
        .iter()
        .filter(|row| row.carried.is_err() || row.refused.is_err())
        .count();
    if failed > 0 {
        return Err(format!("{failed} of {} kernels failed", rows.len()));
    }
    Ok(())
}

/// A kexec that the monitor carries: what it says of the calls, and how long the kexec took.
fn carried(
    machine: &Machine,
    folder: &Path,
    name: &str,
) -> Result<(String, Result<Duration, String>), String> {
    let console = run(machine, folder, name, true)?;
    let hooks = console
        .find(HOOKS)
        .and_then(|line| line.text.split_once(HOOKS));
    let hooks = hooks.map_or("not seen", |(_, hooks)| hooks).to_owned();
    let took = linux::check(&console, 1, machine.smp).and_then(|()| {
        match report::takeovers(&console).first() {
            Some(takeover) => Ok(takeover.time),
            None => Err("not carried by the monitor".into()),
        }
    });
    show_end(&console, took.is_err());
    Ok((hooks, took))
}

/// A kexec that the monitor refuses (`hooks=refuse`): the kernel's own way must be as it is where the
/// monitor patches nothing (`hooks=off`).
fn refused(
    machine: &Machine,
    folder: &Path,
    name: &str,
) -> Result<Result<&'static str, String>, String> {
    let own_way = |hooks: &str| {
        let machine = Machine {
            baton: format!("{} {hooks}", machine.baton),
            // No kernel survives its own way with one.
            its: false,
            ..machine.clone()
        };
        let console = run(&machine, folder, name, false)?;
        let result = linux::check(&console, 1, machine.smp);
        show_end(&console, result.is_err());
        Ok::<_, String>((console, result))
    };
    let (console, result) = own_way("hooks=refuse")?;
    Ok(
        match (
            console.find("hooks: taken out"),
            console.find(kexec::BYE),
            result,
        ) {
            (None, ..) => Err("the kexec was not refused".into()),
            (_, None, _) => Err("the kernel did not take its CPUs down".into()),
            (.., Ok(())) => Ok("whole"),
            (.., Err(reason)) => match own_way("hooks=off")? {
                (_, Ok(())) => Err(reason),
                // Linux 6.1 with CFI faults in machine_kexec(), where it looks for the type of a
                // function in front of a page that has nothing in front.
                (_, Err(_)) => Ok("dies by itself"),
            },
        },
    )
}

/// Where `kernels-built.sh` has put a kernel.
fn kernel(name: &str) -> PathBuf {
    paths::cache().join("kernels-built").join(name)
}

/// Writes the kernel's facts to `NAME.kernel` in `folder`.
fn keep_facts(folder: &Path, name: &str) -> Result<(), String> {
    let read = |file: &str| {
        let path = kernel(name).join(file);
        fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let map = String::from_utf8_lossy(&read("System.map")?).into_owned();
    let facts = facts::facts(&read("Image")?, &map).map_err(|error| format!("{name}: {error}"))?;
    let made = String::from_utf8_lossy(&read("made")?).into_owned();
    let path = folder.join(format!("{name}.kernel"));
    fs::write(&path, made + &facts).map_err(|error| format!("{}: {error}", path.display()))
}

fn run(machine: &Machine, folder: &Path, name: &str, checks: bool) -> Result<Console, String> {
    let guest = Guest {
        kernel: kernel(name).join("Image"),
        initrd: Some(folder.join(format!("{name}.cpio"))),
        append: Task::Kexec { times: 1, checks }.command_line(""),
    };
    let command = machine.command(&guest).map_err(text)?;
    let mut limits = limits(300)?;
    limits.silence = limits.silence.min(Duration::from_secs(60));
    console::watch(command, limits, |line| {
        let shown = [
            "guest: gen",
            HOOKS,
            "baton: gen",
            kexec::BYE,
            "Kernel panic",
        ]
        .iter()
        .any(|pattern| line.text.contains(pattern));
        let at = line.at.as_secs_f64();
        !shown || writeln!(stdout(), "  {at:7.2} s  {}", line.text).is_ok()
    })
    .map_err(text)
}

fn show_end(console: &Console, failed: bool) {
    if failed {
        println!("{}", console.tail(30));
    }
}

fn table(machine: &Machine, rows: &[Row]) {
    println!();
    println!(
        "{} vCPUs ({}); ms from hook to first instruction, and how the kernel's own way is where the monitor \
         refuses",
        machine.smp, machine.cpu
    );
    println!();
    println!("  | kernel                             | carried, ms | refused        | hooks |");
    println!("  |------------------------------------|------------:|----------------|-------|");
    let mut failures = Vec::new();
    for row in rows {
        let mut failed = |reason: &String| {
            failures.push(format!("{}: {reason}", row.name));
            format!("failed ({})", failures.len())
        };
        let carried = match &row.carried {
            Ok(time) => format!("{:.1}", time.as_secs_f64() * 1e3),
            Err(reason) => failed(reason),
        };
        let refused = match &row.refused {
            Ok(state) => (*state).to_owned(),
            Err(reason) => failed(reason),
        };
        println!(
            "  | {:<34} | {carried:>11} | {refused:<14} | {} |",
            row.name, row.hooks
        );
    }
    for (number, failure) in (1..).zip(failures) {
        println!("  ({number}) {failure}");
    }
}
