// SPDX-License-Identifier: Apache-2.0
//! Runs what is still missing, with progress and an estimate.

use crate::column::Column;
use crate::raw::{FAILED, Raw};
use crate::recorder::Recorder;
use crate::timeline::Timeline;
use baton_qemu::console::{self, Limits};
use baton_qemu::{Machine, paths};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One cell of the tables: a column on so many vCPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The column.
    pub column: Column,
    /// vCPUs.
    pub smp: u32,
    /// Samples wanted.
    pub samples: u32,
}

/// What a run measures.
pub fn plan(quick: bool) -> Vec<Cell> {
    let (linux, probe): (&[u32], &[u32]) = if quick {
        (&[1, 4], &[1, 8, 80, 512])
    } else {
        (
            &[1, 2, 4, 8, 16, 32, 64, 80, 128],
            &[1, 2, 4, 8, 16, 32, 64, 80, 128, 192, 256, 512],
        )
    };
    let cell = |column, smp, samples| Cell {
        column,
        smp,
        samples,
    };
    let mut cells = vec![cell(Column::Start, 80, if quick { 1 } else { 5 })];
    for &smp in probe {
        let samples = if quick && smp > 80 { 1 } else { 5 };
        cells.push(cell(Column::ProbeCount, smp, samples));
        cells.push(cell(Column::Probe, smp, samples));
    }
    if !quick {
        cells.push(cell(Column::StockIts, 4, 1));
    }
    for &smp in linux {
        // Five in a row in one machine; where time is short, fewer.
        let samples = if quick { 2 } else { 5 };
        cells.extend(Column::LINUX.map(|column| cell(column, smp, samples)));
    }
    cells
}

/// What every run needs.
pub struct Bench {
    /// The machine, as far as the environment says.
    pub base: Machine,
    /// The disk with the kernel to kexec.
    pub disk: PathBuf,
    /// Where timelines are kept.
    pub folder: PathBuf,
}

/// Takes every sample that `raw` has not yet.
///
/// # Errors
/// If a file cannot be written, or QEMU not be started. What a guest does wrong is a sample.
pub fn run(bench: &Bench, raw: &mut Raw, cells: &[Cell]) -> Result<(), String> {
    let start = Instant::now();
    // Guessed seconds of what was done since the start.
    let mut guessed = 0.0;
    for (index, cell) in cells.iter().enumerate() {
        let left: f64 = cells.iter().skip(index).map(|cell| guess(raw, cell)).sum();
        if missing(raw, cell) == 0 {
            continue;
        }
        let pace = if guessed > 0.0 {
            start.elapsed().as_secs_f64() / guessed
        } else {
            1.0
        };
        println!(
            "  [{}/{}] {} on {} vCPUs, {} samples; about {} min left in all",
            index + 1,
            cells.len(),
            cell.column.name(),
            cell.smp,
            missing(raw, cell),
            (left * pace / 60.0).ceil()
        );
        guessed += guess(raw, cell);
        measure(bench, raw, cell)?;
    }
    Ok(())
}

fn missing(raw: &Raw, cell: &Cell) -> u32 {
    let expected_to_fail = cell.column == Column::StockIts;
    if expected_to_fail
        && raw
            .words(cell.column.name(), cell.smp, FAILED)
            .next()
            .is_some()
    {
        return 0;
    }
    cell.samples
        .saturating_sub(raw.samples(cell.column.name(), cell.smp))
}

fn guess(raw: &Raw, cell: &Cell) -> f64 {
    match missing(raw, cell) {
        0 => 0.0,
        samples => cell.column.guess(cell.smp, samples),
    }
}

/// Runs a cell until it has its samples; two runs without any in a row give it up.
fn measure(bench: &Bench, raw: &mut Raw, cell: &Cell) -> Result<(), String> {
    let mut failures = 0;
    while missing(raw, cell) > 0 && failures < 2 {
        let before = missing(raw, cell);
        let reason = chain(bench, raw, cell, cell.column.in_a_row(before))?;
        if missing(raw, cell) == before {
            failures += 1;
            println!("      {reason}");
            if failures == 2 || cell.column == Column::StockIts {
                failures = 2;
                add(raw, cell, &[(FAILED.into(), reason)])?;
            }
        }
    }
    Ok(())
}

/// One QEMU, with up to `samples` kexecs in a row. Returns how it ended.
fn chain(bench: &Bench, raw: &mut Raw, cell: &Cell, samples: u32) -> Result<String, String> {
    let text = |error: baton_qemu::Error| error.to_string();
    let Cell { column, smp, .. } = *cell;
    let machine = column.machine(&bench.base, smp, Some(&bench.disk));
    if column == Column::Start {
        return start(raw, cell, &machine);
    }
    let command = machine.command(&column.guest(samples)).map_err(text)?;
    let expected = column.guess(smp, samples);
    let limits = Limits {
        total: Duration::from_secs_f64(120.0 + 6.0 * expected),
        silence: Duration::from_secs(if column == Column::StockIts { 60 } else { 240 }),
    };
    let load = load();
    let mut recorder = Recorder::new(column, smp);
    let mut written = Ok(());
    let mut done = 0;
    let seen = console::watch(command, limits, |line| {
        if let Some(mut metrics) = recorder.line(line) {
            metrics.push(("host load".into(), load.clone()));
            written = add(raw, cell, &metrics);
            done += 1;
        }
        written.is_ok() && done < samples && recorder.complaint.is_none()
    })
    .map_err(text)?;
    written?;
    let name = format!("{}-{smp}", column.name());
    if let Some(timeline) = &recorder.last {
        fs::write(
            Timeline::path(&bench.folder, column.name(), smp),
            &timeline.text,
        )
        .map_err(|error| error.to_string())?;
    }
    if done == samples {
        return Ok("all is there".into());
    }
    let log = bench.folder.join(format!("failed-{name}.log"));
    let _ = fs::write(&log, seen.tail(usize::MAX));
    let last = seen
        .lines
        .iter()
        .rev()
        .find(|line| !line.text.trim().is_empty());
    Ok(match recorder.complaint {
        Some(complaint) => complaint,
        None => format!(
            "{}; the last line was \"{}\"",
            seen.end,
            last.map_or("", |line| line.text.trim())
        ),
    })
}

/// The figures that the monitor prints until it has patched the hooks.
fn start(raw: &mut Raw, cell: &Cell, machine: &Machine) -> Result<String, String> {
    let text = |error: baton_qemu::Error| error.to_string();
    let mut guest = cell.column.guest(0);
    guest.kernel = largest_kernel(&guest.kernel);
    let limits = Limits {
        total: Duration::from_secs(300),
        silence: Duration::from_secs(120),
    };
    let command = machine.command(&guest).map_err(text)?;
    let seen = console::watch(command, limits, |line| {
        !line.text.contains("baton: hooks: ")
    })
    .map_err(text)?;
    let found = start_figures(seen.lines.iter().map(|line| line.text.as_str()));
    let kernel = guest.kernel.canonicalize().unwrap_or(guest.kernel);
    let version = kernel
        .parent()
        .and_then(Path::file_name)
        .unwrap_or_default();
    match found {
        Some((enter, patch)) => {
            let metrics = [
                (
                    "start instructions".to_owned(),
                    format!("{:.0}", enter * 1e3),
                ),
                (
                    "patching instructions".to_owned(),
                    format!("{:.0}", patch * 1e3),
                ),
                ("kernel".to_owned(), version.to_string_lossy().into_owned()),
            ];
            add(raw, cell, &metrics)?;
            Ok("all is there".into())
        }
        None => Ok(format!(
            "no hooks were patched: {}",
            seen.tail(3).replace('\n', "; ")
        )),
    }
}

/// The microseconds from the monitor's entry to the guest's, and those that patching took.
fn start_figures<'a>(lines: impl Iterator<Item = &'a str>) -> Option<(f64, f64)> {
    let before_us = |line: &str| -> Option<f64> {
        let (before, _) = line.split_once(" us")?;
        before.rsplit(' ').next()?.parse().ok()
    };
    let (mut enter, mut patch) = (None, None);
    for line in lines {
        if line.contains("entering it after") {
            enter = before_us(line);
        } else if line.contains("hooks: kernel at") {
            patch = before_us(line);
        }
    }
    Some((enter?, patch?))
}

/// The largest of the kernels that were fetched, or `own`.
fn largest_kernel(own: &Path) -> PathBuf {
    let kernels = fs::read_dir(paths::cache().join("kernels"))
        .into_iter()
        .flatten()
        .flatten();
    kernels
        .map(|entry| entry.path().join("Image"))
        .chain([own.to_owned()])
        .filter_map(|path| Some((path.metadata().ok()?.len(), path)))
        .max()
        .map_or_else(|| own.to_owned(), |(_, path)| path)
}

fn add(raw: &mut Raw, cell: &Cell, metrics: &[(String, String)]) -> Result<(), String> {
    raw.add(cell.column.name(), cell.smp, metrics)
        .map_err(|error| format!("the samples cannot be written: {error}"))
}

/// How many processes the host wanted to run during the last minute.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_run_has_five_samples_of_each_figure() {
        for cell in plan(false) {
            let enough = cell.samples >= 5 || cell.column == Column::StockIts;
            assert!(enough, "expected five samples of {cell:?}");
        }
    }

    #[test]
    fn reads_the_monitors_start() {
        let lines = [
            "baton: kernel at 0x44000000-0x46010000 (32 MiB), entering it after 6712 us",
            "baton: hooks: kernel at 0x44000000, patched at offsets 0x1 and 0x2 in 1234 us",
        ];
        assert_eq!(start_figures(lines.into_iter()), Some((6712.0, 1234.0)));
        assert_eq!(start_figures(lines.into_iter().take(1)), None);
    }
}
