// SPDX-License-Identifier: Apache-2.0
//! `make bench`: how long a machine is away, measured beside stock Linux.
//!
//! [`column`] says what is measured, [`run`] measures what is still missing, [`raw`] keeps it, and
//! [`report`] makes tables and plots of it.

mod at_once;
mod behind_smmu;
mod cell;
mod column;
mod critical;
mod exit_cost;
mod idle;
mod model;
mod plots;
mod raw;
mod recorder;
mod report;
mod run;
mod start;
mod stats;
mod timeline;

use baton_qemu::{Machine, checksum, layout, paths};
use cell::Cell;
use column::Column;
use raw::Raw;
use report::Report;
use run::Bench;
use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use timeline::Timeline;

const USAGE: &str = "usage: baton-bench bench|report DISK
       baton-bench idle|idle-smmu

  bench      take the samples that are missing, then report
  report     report what there is
  idle       compare the same work with and without the monitor
  idle-smmu  compare reads of a disk behind an SMMU with and without the fence

QUICK=1 takes fewer. ONLY=baton,stock-i and SIZES=8,80 choose what is measured now. CPU= MEM= QEMU= are read from the environment.";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bench", disk] => bench(Path::new(disk), true),
        ["report", disk] => bench(Path::new(disk), false),
        ["idle"] => idle(),
        ["idle-smmu"] => idle_smmu(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    baton_qemu::exit_code(result)
}

/// Whether `QUICK=` is set to anything but 0.
fn quick() -> bool {
    env::var("QUICK").is_ok_and(|value| !["", "0"].contains(&value.as_str()))
}

fn bench(disk: &Path, measure: bool) -> Result<(), String> {
    let base = Machine::from_env(80).map_err(|error| error.to_string())?;
    let quick = quick();
    let folder = paths::target().join(if quick { "bench/quick" } else { "bench" });
    let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
    let subject = subject(&base)?;
    let mut raw = Raw::open(&folder, &subject).map_err(fail)?;
    let cells = run::plan(quick);
    let bench = Bench {
        base,
        disk: disk.to_owned(),
        folder: folder.clone(),
    };
    if measure {
        let chosen: Vec<_> = cells
            .iter()
            .filter(|cell| is_chosen(cell))
            .copied()
            .collect();
        run::run(&bench, &mut raw, &chosen)?;
    }
    let report = Report {
        raw: &raw,
        cells: &cells,
        subject: &subject,
        timeline: timeline(&folder, &cells, Column::Baton, "QEMU, one host thread"),
        counted: timeline(
            &folder,
            &cells,
            Column::TreeCount,
            "counted in instructions, 1 ns each",
        ),
    };
    report.write(&folder).map_err(fail)?;
    println!(
        "\n{}\n  {}",
        report.goals_table(),
        folder.join("report.md").display()
    );
    Ok(())
}

/// Whether `ONLY=` (names of columns) and `SIZES=` (numbers of vCPUs) have the cell in them.
fn is_chosen(cell: &Cell) -> bool {
    let has = |name: &str, word: &str| {
        let list = env::var(name).unwrap_or_default();
        list.is_empty() || list.split([',', ' ']).any(|chosen| chosen == word)
    };
    has("ONLY", cell.column.name()) && has("SIZES", &cell.smp.to_string())
}

fn idle() -> Result<(), String> {
    let base = Machine::from_env(8).map_err(|error| error.to_string())?;
    let name = match (quick(), &base.uefi) {
        (false, None) => "bench/idle",
        (false, Some(_)) => "bench/idle-uefi",
        (true, None) => "bench/quick-idle",
        (true, Some(_)) => "bench/quick-idle-uefi",
    };
    let subject = subject(&base)?;
    let samples = if quick() { 1 } else { 5 };
    show(name, &subject, |raw| {
        idle::run(&base, raw, samples, &subject)
    })
}

fn idle_smmu() -> Result<(), String> {
    let base = Machine::from_env(8).map_err(|error| error.to_string())?;
    let (name, samples) = match quick() {
        false => ("bench/idle-smmu", 3),
        true => ("bench/quick-idle-smmu", 1),
    };
    let subject = subject(&behind_smmu::subject(&base))?;
    show(name, &subject, |raw| {
        behind_smmu::run(&base, raw, samples, &subject)
    })
}

/// Writes the report that `run` makes into the folder `name`, beside the samples of it, and shows it.
fn show(
    name: &str,
    subject: &str,
    run: impl FnOnce(&mut Raw) -> Result<String, String>,
) -> Result<(), String> {
    let folder = paths::target().join(name);
    let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut raw = Raw::open(&folder, subject).map_err(fail)?;
    let text = run(&mut raw)?;
    let path = folder.join("report.md");
    fs::write(&path, &text).map_err(fail)?;
    println!("\n{text}\n  {}", path.display());
    Ok(())
}

/// What is measured and on what, a line each: samples of anything else do not count beside these.
fn subject(machine: &Machine) -> Result<String, String> {
    let text = |error: baton_qemu::Error| error.to_string();
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let host = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cpus = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = paths::linux();
    let release = kernel.canonicalize().unwrap_or(kernel.clone());
    let release = release
        .parent()
        .and_then(Path::file_name)
        .unwrap_or_default();
    Ok(format!(
        "Host: {cpus} CPUs, {}\n\
         QEMU {}, `-M virt,gic-version=3`, `-cpu {}`, {} MiB, `-accel tcg,thread=single`\n\
         Kernel: Debian's {}, {} MiB in memory; the next kernel is the same, its initrd the same for all columns\n\
         Monitor: build {:08x}\n\
         UEFI: Debian's EDK2, build {:08x}, for what it starts\n",
        host.map_or("unknown", |(_, model)| model),
        machine.qemu_version().map_err(text)?,
        machine.cpu,
        machine.mem,
        release.to_string_lossy(),
        layout::kernel_size(&kernel).map_err(text)? >> 20,
        checksum(&paths::monitor()).map_err(text)?,
        checksum(&paths::edk2()).map_err(text)?,
    ))
}

/// The timeline of a column to draw: that of Linux on 80 vCPUs, or on as many as were tried.
fn timeline(
    folder: &Path,
    cells: &[Cell],
    column: Column,
    clock: &str,
) -> Option<(String, Timeline)> {
    let linux = cells
        .iter()
        .filter(|cell| cell.column == column && cell.smp <= 80);
    let smp = linux.map(|cell| cell.smp).max()?;
    let text = fs::read_to_string(Timeline::path(folder, column.name(), smp)).ok()?;
    let what = format!("Linux on {smp} vCPUs under Baton ({clock})");
    Some((what, Timeline::read(&text)?))
}
