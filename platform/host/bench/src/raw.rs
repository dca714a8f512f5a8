// SPDX-License-Identifier: Apache-2.0
//! The raw samples: a CSV file that is only ever appended to, so that a stopped run can go on.

use baton_qemu::samples;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const HEADER: &str = "column,smp,sample,metric,value";

/// What stands in the place of a metric where there is none, with a reason as its value.
pub const FAILED: &str = "failed";

/// One figure of one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What was run.
    pub column: String,
    /// On how many vCPUs.
    pub smp: u32,
    /// Which of the samples it is, counted from 0.
    pub sample: u32,
    /// What was measured, with its unit.
    pub metric: String,
    /// The figure, or words where there is none.
    pub value: String,
}

/// All figures so far, and the file they are in.
pub struct Raw {
    path: PathBuf,
    rows: Vec<Row>,
}

impl Raw {
    /// Opens the file in `folder`, with the samples of runs before. Where these are of something
    /// else than `subject` (versions and settings, a line each), they are put aside.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(folder: &Path, subject: &str) -> io::Result<Self> {
        let path = samples::file(folder, "raw", subject)?;
        let text = fs::read_to_string(&path).unwrap_or_default();
        if text.is_empty() {
            fs::write(&path, format!("{HEADER}\n"))?;
        } else if !text.ends_with('\n') {
            // The last run was stopped in the middle of a line.
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            fs::write(&path, &text[..whole])?;
        }
        let rows = parse(&text);
        Ok(Self { path, rows })
    }

    /// Adds the figures of one sample.
    ///
    /// # Errors
    /// What the system says.
    pub fn add(&mut self, column: &str, smp: u32, metrics: &[(String, String)]) -> io::Result<()> {
        let of = self.of(column, smp).map(|row| row.sample + 1);
        let sample = of.max().unwrap_or(0);
        let mut text = String::new();
        for (metric, value) in metrics {
            let value = value.replace([',', '\n'], ";");
            text += &format!("{column},{smp},{sample},{metric},{value}\n");
            self.rows.push(Row {
                column: column.to_owned(),
                smp,
                sample,
                metric: metric.clone(),
                value,
            });
        }
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.path)?;
        file.write_all(text.as_bytes())
    }

    /// How many samples of `column` there are with `smp` vCPUs, without those that failed.
    pub fn samples(&self, column: &str, smp: u32) -> u32 {
        let good = self.of(column, smp).filter(|row| row.metric != FAILED);
        let mut seen: Vec<u32> = good.map(|row| row.sample).collect();
        seen.dedup();
        seen.len() as u32
    }

    fn of(&self, column: &str, smp: u32) -> impl Iterator<Item = &Row> {
        self.rows
            .iter()
            .filter(move |row| row.column == column && row.smp == smp)
    }

    /// The figures called `metric` of all samples of `column` with `smp` vCPUs.
    pub fn values(&self, column: &str, smp: u32, metric: &str) -> impl Iterator<Item = f64> {
        self.words(column, smp, metric)
            .filter_map(|value| value.parse().ok())
    }

    /// The same, as they stand in the file.
    pub fn words(&self, column: &str, smp: u32, metric: &str) -> impl Iterator<Item = &str> {
        self.of(column, smp)
            .filter(move |row| row.metric == metric)
            .map(|row| row.value.as_str())
    }

    /// All figures.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

/// Reads the lines that are whole.
fn parse(text: &str) -> Vec<Row> {
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let row = |line: &str| {
        let mut fields = line.splitn(5, ',');
        let mut next = || fields.next().map(str::to_owned);
        Some(Row {
            column: next()?,
            smp: next()?.parse().ok()?,
            sample: next()?.parse().ok()?,
            metric: next()?,
            value: next()?,
        })
    };
    text[..whole].lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn goes_on_where_it_was_stopped() {
        let folder = std::env::temp_dir().join(format!("baton-bench-{}", std::process::id()));
        let mut raw = Raw::open(&folder, "one").expect("a folder that can be written");
        raw.add("stock", 4, &metric("away ms", "12.5"))
            .expect("written");
        raw.add("stock", 4, &metric("away ms", "13.5"))
            .expect("written");
        raw.add("stock", 8, &metric(FAILED, "no, not\nthis"))
            .expect("written");
        assert_eq!(raw.samples("stock", 8), 0, "a failure is no sample");
        drop(raw);
        let mut file = OpenOptions::new()
            .append(true)
            .open(folder.join("raw.csv"))
            .expect("there");
        file.write_all(b"stock,4,2,away").expect("written");

        let raw = Raw::open(&folder, "one").expect("a folder that can be written");
        assert_eq!(
            raw.samples("stock", 4),
            2,
            "the line cut short is no sample"
        );
        assert_eq!(
            raw.values("stock", 4, "away ms").collect::<Vec<_>>(),
            [12.5, 13.5]
        );
        assert_eq!(
            raw.words("stock", 8, "failed").collect::<Vec<_>>(),
            ["no; not;this"]
        );

        let raw = Raw::open(&folder, "another").expect("a folder that can be written");
        assert_eq!(raw.rows(), [], "samples of another build count");
        assert!(
            folder.join("raw-1.csv").exists(),
            "samples of another build are lost"
        );
        fs::remove_dir_all(&folder).expect("its own folder");
    }
}
