// SPDX-License-Identifier: Apache-2.0
//! The report of a soak.

use super::record::{Kind, Record, Row};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// Writes `report.md` beside the record, and returns its path. `wanted`: of each guest its vCPUs and
/// kexecs.
pub fn write(record: &Record, wanted: [(Kind, u32, u32); 2]) -> Result<PathBuf, String> {
    let path = record.folder.join("report.md");
    fs::write(&path, text(record, wanted))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

fn text(record: &Record, wanted: [(Kind, u32, u32); 2]) -> String {
    let mut text = String::from(
        "# Soak\n\nEvery kexec is from under CPUs in states that were chosen by chance; every kernel found \
         all CPUs, the memory that its predecessors had left to it, and a checksum over memory that nobody \
         writes. After every kexec of a machine the monitor had the same memory in use.\n\n\
         | guest | vCPUs | kexecs | of | machines | most in a row | heap in use, bytes | stage 2 roots free | \
         us away, median | most |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for (kind, smp, wanted) in wanted {
        let rows = record.of(kind);
        let mut us: Vec<f64> = rows.clone().map(|row| row.us).collect();
        us.sort_by(f64::total_cmp);
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "| {kind} | {smp} | {} | {wanted} | {} | {} | {} | {} | {:.0} | {:.0} |",
            us.len(),
            record.next_machine(kind) - 1,
            rows.clone().map(|row| row.kexec).max().unwrap_or(0),
            span(rows.clone().map(|row| row.heap)),
            span(rows.map(|row| row.free_roots)),
            us.get(us.len() / 2).unwrap_or(&0.0),
            us.last().unwrap_or(&0.0),
        );
    }
    for (kind, ..) in wanted {
        let _ = writeln!(
            text,
            "\n## What the CPUs of the {kind} were doing\n\n| state | kexecs | CPUs |\n|---|---:|---:|"
        );
        for (state, (kexecs, cpus)) in states(record.of(kind)) {
            let _ = writeln!(text, "| {state} | {kexecs} | {cpus} |");
        }
    }
    text
}

/// The least and the most.
fn span(values: impl Iterator<Item = u64> + Clone) -> String {
    match (values.clone().min(), values.max()) {
        (Some(least), Some(most)) if least == most => least.to_string(),
        (Some(least), Some(most)) => format!("{least} to {most}"),
        _ => "-".into(),
    }
}

/// For each state, the kexecs in which there was such a CPU, and the CPUs in all of them.
fn states<'a>(rows: impl Iterator<Item = &'a Row>) -> BTreeMap<&'a str, (u32, u32)> {
    let mut states = BTreeMap::new();
    for state in rows.flat_map(|row| &row.states) {
        let (name, count) = state.split_once('=').unwrap_or((state, "1"));
        let entry: &mut (u32, u32) = states.entry(name).or_default();
        entry.0 += 1;
        entry.1 += count.parse().unwrap_or(0);
    }
    states
}
