// SPDX-License-Identifier: Apache-2.0
//! Runs what is still missing, with progress and an estimate.

use crate::cell::Cell;
use crate::column::Column;
use crate::raw::{FAILED, Raw};
use crate::recorder::Recorder;
use crate::start;
use crate::timeline::Timeline;
use baton_qemu::Machine;
use baton_qemu::console::{self, Limits};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

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
    let few = if quick { 1 } else { 5 };
    let mut cells: Vec<_> = Column::STARTS
        .iter()
        // By kexec it takes a whole Linux, and counts hardly vary.
        .map(|&column| cell(column, 80, if column.is_door() { 1 } else { few }))
        .collect();
    for &smp in probe {
        let samples = if quick && smp > 80 { 1 } else { 5 };
        cells.push(cell(Column::ProbeCount, smp, samples));
        cells.push(cell(Column::Probe, smp, samples));
    }
    cells.extend([
        cell(Column::List, 1, few),
        cell(Column::List, 80, few),
        cell(Column::LongList, 80, few.min(3)),
        cell(Column::Refusal, 80, few),
        cell(Column::CrashCount, 4, few.min(3)),
    ]);
    if !quick {
        cells.push(cell(Column::StockIts, 4, 1));
    }
    for &smp in linux {
        let samples = samples_of_linux(quick, smp);
        cells.extend(Column::LINUX.map(|column| cell(column, smp, samples)));
    }
    let uefi: &[u32] = if quick { &[8, 80] } else { &[1, 8, 80, 128] };
    for &smp in uefi {
        let samples = samples_of_linux(quick, smp);
        cells.extend(Column::UEFI.map(|column| cell(column, smp, samples)));
    }
    for smp in [8, 80] {
        let counted = [Column::TreeCount, Column::UefiCount];
        cells.extend(counted.map(|column| cell(column, smp, if quick { 1 } else { 3 })));
    }
    cells
}

/// Samples of a kexec of Linux, in a row in one machine. With more than 80 vCPUs the emulator takes
/// minutes for each.
fn samples_of_linux(quick: bool, smp: u32) -> u32 {
    match smp {
        _ if quick => 2,
        ..=80 => 5,
        _ => 3,
    }
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
                cell.add(raw, &[(FAILED.into(), reason)])?;
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
    if column.is_start() {
        return start::measure(raw, cell, machine);
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
            written = cell.add(raw, &metrics);
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

/// How many processes the host wanted to run during the last minute.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_run_has_several_samples_of_each_figure() {
        for cell in plan(false) {
            let once = cell.column == Column::StockIts || cell.column.is_door();
            let enough = cell.samples >= 3 || once;
            assert!(enough, "expected three samples or more of {cell:?}");
        }
    }
}
