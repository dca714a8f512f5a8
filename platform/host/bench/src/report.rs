// SPDX-License-Identifier: Apache-2.0
//! The report: tables in Markdown, the medians as CSV, and the plots.

mod drawings;
mod goals;
mod tables;
mod uefi;

use crate::cell::Cell;
use crate::column::Column;
use crate::model::{self, SIZES};
use crate::plots;
use crate::raw::{FAILED, Raw};
use crate::stats::Summary;
use crate::timeline::Timeline;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// What the tables are made of.
pub struct Report<'a> {
    /// The samples.
    pub raw: &'a Raw,
    /// What was to be measured.
    pub cells: &'a [Cell],
    /// The machine that it was measured on, in lines.
    pub subject: &'a str,
    /// The timeline to draw, and of what it is.
    pub timeline: Option<(String, Timeline)>,
    /// The same of one that was counted in instructions.
    pub counted: Option<(String, Timeline)>,
}

impl Report<'_> {
    /// Writes all files of the report to `folder`.
    ///
    /// # Errors
    /// What the system says. A plot that cannot be drawn is left out, with a word of why.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join("report.csv"), self.csv())?;
        let mut missing = String::new();
        for (name, svg) in self.plots() {
            if let Err(error) = svg.and_then(|svg| plots::write(folder, name, &svg)) {
                missing += &format!("- The plot {name} is missing: {error}.\n");
            }
        }
        fs::write(folder.join("report.md"), self.markdown() + &missing)
    }

    fn summary(&self, column: Column, smp: u32, metric: &str) -> Option<Summary> {
        Summary::of(self.raw.values(column.name(), smp, metric))
    }

    /// The median of `metric` of one column as a multiple of another's.
    fn ratio(&self, of: Column, to: Column, smp: u32, metric: &str) -> Option<f64> {
        let median = |column| Some(self.summary(column, smp, metric)?.median);
        Some(median(of)? / median(to)?)
    }

    fn sizes(&self, column: Column) -> BTreeSet<u32> {
        let of = self.cells.iter().filter(|cell| cell.column == column);
        of.map(|cell| cell.smp).collect()
    }

    /// A figure, or why there is none; how many samples it is of, if these are not all.
    fn cell(&self, column: Column, smp: u32, metric: &str) -> String {
        let cell = |cell: &&Cell| (cell.column, cell.smp) == (column, smp);
        let wanted = self
            .cells
            .iter()
            .find(cell)
            .map_or(0, |cell| cell.samples as usize);
        match self.summary(column, smp, metric) {
            Some(summary) if summary.count < wanted => {
                format!("{summary}, {} of {wanted} samples", summary.count)
            }
            Some(summary) => summary.to_string(),
            None => match self.raw.words(column.name(), smp, FAILED).last() {
                Some(why) => format!("failed: {why}"),
                None => "not measured yet".into(),
            },
        }
    }

    /// Medians and spreads, for programs.
    fn csv(&self) -> String {
        let mut keys: Vec<(&str, u32, &str)> = Vec::new();
        for row in self.raw.rows() {
            let key = (row.column.as_str(), row.smp, row.metric.as_str());
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let mut text = String::from("column,smp,metric,samples,median,min,max\n");
        for (column, smp, metric) in keys {
            if let Some(s) = Summary::of(self.raw.values(column, smp, metric)) {
                let Summary {
                    count,
                    median,
                    min,
                    max,
                } = s;
                text += &format!("{column},{smp},{metric},{count},{median},{min},{max}\n");
            }
        }
        text
    }

    /// The bytes that a kexec of Linux copies.
    fn linux_bytes(&self) -> Option<f64> {
        let copied = |column| {
            let sizes = self.sizes(column).into_iter().rev();
            let mut found = sizes.filter_map(|smp| self.summary(column, smp, "copied MiB"));
            Some(found.next()?.median * f64::from(1 << 20))
        };
        [Column::Baton, Column::TreeCount]
            .into_iter()
            .find_map(copied)
    }

    /// The model of each of [`SIZES`] that copies `bytes`.
    fn modelled(&self, bytes: f64) -> Option<Vec<(u32, model::Modelled)>> {
        let measured = self.sizes(Column::ProbeCount);
        let of = |cpus: u32| {
            // Where the size itself was not counted, the next larger one is.
            let mut larger = measured.range(cpus..);
            let counted = larger.find_map(|smp| model::counted(self.raw, *smp))?;
            Some((cpus, model::model(&counted, cpus, bytes)))
        };
        let modelled: Vec<_> = SIZES.iter().filter_map(|cpus| of(*cpus)).collect();
        (!modelled.is_empty()).then_some(modelled)
    }
}
