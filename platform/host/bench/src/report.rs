//! The report: tables in Markdown, the medians as CSV, and the plots.

use crate::column::Column;
use crate::model::{self, ASSUMPTIONS, SIZES};
use crate::plots::{self, Frame, Series};
use crate::raw::{FAILED, Raw};
use crate::run::Cell;
use crate::stats::{Summary, digits};
use crate::timeline::Timeline;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

/// A figure of the Linux table: its name in the samples, and its heading with the clock.
const LINUX: [(&str, &str); 3] = [
    (
        "away ms",
        "From \"Starting new kernel\" to the next kernel's first instruction, ms (host's clock)",
    ),
    (
        "online ms",
        "From \"Starting new kernel\" to \"smp: Brought up\" of the next kernel, ms (host's clock)",
    ),
    (
        "userspace ms",
        "From \"Starting new kernel\" to the next kernel's first process, ms (host's clock)",
    ),
];
const PHASES: [(&str, &str); 7] = [
    ("hook us", "hook to entry"),
    ("validate us", "validate"),
    ("kick us", "kick"),
    ("phase 1 us", "phase 1"),
    ("phase 2 us", "phase 2"),
    ("phase 3 us", "phase 3"),
    ("enter us", "enter"),
];
const COUNTS: [(&str, &str); 8] = [
    ("kick instructions", "kick"),
    ("phase 1 instructions", "phase 1"),
    ("phase 2 instructions", "phase 2"),
    ("phase 3 instructions", "phase 3"),
    ("enter instructions", "enter"),
    ("path instructions", "**path**"),
    ("longest CPU instructions", "longest CPU"),
    ("copy most to mean", "copy: most to mean"),
];

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

    fn markdown(&self) -> String {
        let mut text = String::from("# How long a machine is away\n\n");
        for line in self.subject.lines() {
            text += &format!("- {line}\n");
        }
        text += &self.preface();
        self.linux(&mut text);
        self.phases(&mut text);
        self.counts(&mut text);
        self.start(&mut text);
        self.model(&mut text);
        text
    }

    fn preface(&self) -> String {
        let loads = self
            .raw
            .rows()
            .iter()
            .filter(|row| row.metric == "host load");
        let load = Summary::of(loads.filter_map(|row| row.value.parse().ok()));
        format!(
            "- Every figure is the median of its samples, five in a full run, with least and most in brackets; where \
             there are fewer, they are counted beside it.\n\
             - Load of the host when a machine was started: {}. QEMU runs all vCPUs on one host \
             thread (`thread=single`), so what CPUs do at once takes one after another here: the \
             times are those of an emulator, and good for comparing columns, not for a machine.\n\
             - Every next kernel lies where none has been (`kexec --mem-min`): QEMU takes long to \
             overwrite code that it has translated, up to seconds for a kernel, which no machine does. \
             The host has found all of the guest's memory before the guest starts.\n\
             - Stock figures are of a machine without an ITS: {}\n\n",
            load.map_or("not known".into(), |load| load.to_string()),
            match self.summary(Column::StockIts, 4, "away ms") {
                Some(_) => "with one it came up too here, as no next kernel lies over the \
                     tables of the one before it; where one does, it dies."
                    .to_owned(),
                None => format!(
                    "`kexec -l -i` on 4 vCPUs with one: {}.",
                    self.cell(Column::StockIts, 4, "away ms")
                ),
            }
        )
    }

    fn linux(&self, text: &mut String) {
        for (metric, heading) in LINUX {
            let _ = writeln!(text, "## {heading}\n");
            let titles: Vec<_> = Column::LINUX.iter().map(|column| column.title()).collect();
            let _ = writeln!(text, "| vCPUs | {} |", titles.join(" | "));
            let _ = writeln!(text, "|--:|{}", "--:|".repeat(titles.len()));
            for smp in self.sizes(Column::Baton) {
                let cells = Column::LINUX.map(|column| self.cell(column, smp, metric));
                let _ = writeln!(text, "| {smp} | {} |", cells.join(" | "));
            }
            text.push('\n');
        }
        text.push_str("How many times shorter that first time is under Baton:\n\n");
        text.push_str(
            "| vCPUs | than stock as Debian ships it | than stock with `-i` |\n|--:|--:|--:|\n",
        );
        for smp in self.sizes(Column::Baton) {
            let ratio = |stock: Column| {
                let away = self.summary(stock, smp, "away ms")?.median;
                let baton = self.summary(Column::Baton, smp, "away ms")?.median;
                Some(digits(away / baton))
            };
            let shown = |stock| ratio(stock).unwrap_or("not measured yet".into());
            let _ = writeln!(
                text,
                "| {smp} | {} | {} |",
                shown(Column::Stock),
                shown(Column::StockUnchecked)
            );
        }
        text.push_str("\n![time against vCPUs](reboot.svg)\n\n");
    }

    fn phases(&self, text: &mut String) {
        text.push_str(
            "## The monitor's phases, µs (CNTPCT_EL0, which is the host's clock here)\n\n",
        );
        for column in [Column::Baton, Column::Serial, Column::Probe] {
            let _ = writeln!(text, "{}:\n", column.title());
            let mut metrics = PHASES.to_vec();
            metrics.extend([("copied MiB", "copied MiB"), ("copy GB/s", "copy GB/s")]);
            self.table(text, column, &metrics);
        }
        text.push_str("![a reboot](timeline.svg)\n\n![copy bandwidth](bandwidth.svg)\n\n");
    }

    fn table(&self, text: &mut String, column: Column, metrics: &[(&str, &str)]) {
        let names: Vec<_> = metrics.iter().map(|(_, name)| *name).collect();
        let _ = writeln!(text, "| vCPUs | {} |", names.join(" | "));
        let _ = writeln!(text, "|--:|{}", "--:|".repeat(names.len()));
        for smp in self.sizes(column) {
            let cells: Vec<_> = metrics
                .iter()
                .map(|(metric, _)| self.cell(column, smp, metric))
                .collect();
            let _ = writeln!(text, "| {smp} | {} |", cells.join(" | "));
        }
        text.push('\n');
    }

    fn counts(&self, text: &mut String) {
        text.push_str(
            "## The critical path, instructions (virtual clock, `-icount shift=0,sleep=off`)\n\n\
             One instruction of any CPU moves the clock by 1 ns, one CPU runs at a time, and is \
             not interrupted between two waits: so each part is what its CPU ran by itself, to 16 \
             instructions (a tick). `path` is kick + phase 1 of the slowest CPU + phase 2 + phase 3 \
             of the slowest CPU without its copy + enter; waiting, the list's validation (it grows \
             with the list only) and the copy are left out, and so is the vector's entry before \
             the first time stamp. All CPUs sleep in WFI; the guest is the probe.\n\n",
        );
        self.table(text, Column::ProbeCount, &COUNTS);
        let path = |smp| {
            Some(
                self.summary(Column::ProbeCount, smp, "path instructions")?
                    .median,
            )
        };
        if let (Some(few), Some(many)) = (path(8), path(512)) {
            let ratio = many / few;
            let verdict = if ratio <= 1.5 { "met" } else { "missed" };
            let _ = writeln!(
                text,
                "Path with 512 CPUs: {} times that with 8 (goal: 1.5 at most, {verdict}).\n",
                digits(ratio)
            );
        }
        let values = |metric| -> f64 {
            let sizes = self.sizes(Column::ProbeCount).into_iter();
            let values =
                sizes.flat_map(|smp| self.raw.values(Column::ProbeCount.name(), smp, metric));
            values.fold(0.0, f64::max)
        };
        let _ = writeln!(
            text,
            "Most bytes copied by one CPU: {} times the mean at worst (goal: 1.2 at most). \
             Stretches of work that overlap, whose figures would be too high: {}.\n\n\
             ![the critical path](critical.svg)\n",
            digits(values("copy most to mean")),
            values("overlaps")
        );
    }

    fn start(&self, text: &mut String) {
        let kernel = self
            .raw
            .words(Column::Start.name(), 80, "kernel")
            .last()
            .unwrap_or("?");
        let _ = writeln!(
            text,
            "## Start, instructions (virtual clock, `-icount shift=0,sleep=off`), 80 CPUs\n\n\
             | what | median | goal |\n|---|--:|--:|\n\
             | the monitor's entry to the guest's | {} | 10,000,000 |\n\
             | planting the hooks in {kernel}, the largest kernel at hand | {} | 50,000,000 |\n",
            self.cell(Column::Start, 80, "start instructions"),
            self.cell(Column::Start, 80, "planting instructions"),
        );
    }

    /// The bytes that a kexec of Linux copies.
    fn linux_bytes(&self) -> Option<f64> {
        let sizes = self.sizes(Column::Baton);
        let copied = |smp: &u32| self.summary(Column::Baton, *smp, "copied MiB");
        Some(sizes.iter().rev().find_map(copied)?.median * f64::from(1 << 20))
    }

    fn modelled(&self) -> Option<Vec<(u32, model::Modelled)>> {
        let bytes = self.linux_bytes()?;
        let measured = self.sizes(Column::ProbeCount);
        let of = |cpus: u32| {
            // Where the size itself was not counted, the next larger one is.
            let smp = measured.range(cpus..).next()?;
            let counted = model::counted(self.raw, *smp, bytes)?;
            Some((cpus, model::model(&counted, cpus)))
        };
        SIZES.iter().map(|cpus| of(*cpus)).collect()
    }

    fn model(&self, text: &mut String) {
        text.push_str(
            "## A model of real machines\n\n**This is a model, not a measurement**: the counted \
             instructions above, and public figures of Neoverse N1 machines. Times in µs.\n\n",
        );
        let Some(modelled) = self.modelled() else {
            text.push_str("There are not enough samples for it yet.\n\n");
            return;
        };
        text.push_str(
            "| CPUs | validate | kick, exits, phases | interrupt controller | barriers | copy | \
             **hook to first instruction** | stock Linux taking its CPUs down |\n\
             |--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for (cpus, m) in &modelled {
            let _ = writeln!(
                text,
                "| {cpus} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | **{:.0}** | {} |",
                m.validate,
                m.phases,
                m.devices,
                m.barriers,
                m.copy,
                m.total(),
                digits(m.stock)
            );
        }
        let _ = writeln!(
            text,
            "\nIt copies what Linux's kexec copied above, {} MiB. Assumptions:\n\n\
             | what | value | from |\n|---|--:|---|",
            digits(self.linux_bytes().unwrap_or(0.0) / f64::from(1 << 20))
        );
        for a in ASSUMPTIONS {
            let _ = writeln!(
                text,
                "| {} | {} {} | {} |",
                a.what, a.value, a.unit, a.source
            );
        }
        text.push_str(
            "\nLeft out: cache and TLB misses beyond the instructions a cycle, DMA that competes \
             for memory, and sockets: 512 CPUs are taken to share the memory of one.\n\n\
             ![the model](model.svg)\n\n",
        );
    }

    fn series(&self, column: Column, metric: &str, name: &str) -> Series {
        let point = |smp| {
            let s = self.summary(column, smp, metric)?;
            Some((f64::from(smp), s.median, s.min, s.max))
        };
        Series {
            name: name.to_owned(),
            points: self.sizes(column).into_iter().filter_map(point).collect(),
        }
    }

    fn plots(&self) -> Vec<(&'static str, Result<String, plots::Failed>)> {
        let linux =
            |metric| Column::LINUX.map(|c| self.series(c, metric, &c.title().replace('`', "")));
        let frame = |title, x, y, log| Frame { title, x, y, log };
        let count = |metric, name| self.series(Column::ProbeCount, metric, name);
        let mut plots = vec![
            (
                "reboot",
                plots::lines(
                    &frame(
                        "kexec -e to the next kernel's first instruction (QEMU)",
                        "vCPUs",
                        "ms, host's clock",
                        true,
                    ),
                    &linux("away ms"),
                ),
            ),
            (
                "bandwidth",
                plots::lines(
                    &frame(
                        "Copy bandwidth of all CPUs together (QEMU, one host thread)",
                        "vCPUs",
                        "GB/s, host's clock",
                        false,
                    ),
                    &[
                        self.series(Column::Baton, "copy GB/s", "Linux under Baton"),
                        self.series(Column::Probe, "copy GB/s", "probe guest"),
                    ],
                ),
            ),
            (
                "critical",
                plots::lines(
                    &frame(
                        "The critical path, copy left out",
                        "CPUs",
                        "instructions",
                        false,
                    ),
                    &[
                        count("path instructions", "the whole path"),
                        count("phase 1 instructions", "phase 1, slowest CPU"),
                        count("phase 2 instructions", "phase 2, boot CPU"),
                        count("phase 3 instructions", "phase 3, slowest CPU"),
                        count("enter instructions", "enter, boot CPU"),
                    ],
                ),
            ),
        ];
        if let Some((what, timeline)) = &self.timeline {
            plots.push((
                "timeline",
                plots::gantt(&format!("One reboot: {what}"), timeline),
            ));
        }
        if let Some(modelled) = self.modelled() {
            let line = |name: &str, value: fn(&model::Modelled) -> f64| Series {
                name: name.into(),
                points: modelled
                    .iter()
                    .map(|(cpus, m)| (f64::from(*cpus), value(m), value(m), value(m)))
                    .collect(),
            };
            let frame = frame(
                "Model: Neoverse N1, hook to first instruction",
                "CPUs",
                "ms, modelled",
                true,
            );
            let series = [
                line("stock Linux taking its CPUs down", |m| m.stock / 1e3),
                line("Baton", |m| m.total() / 1e3),
            ];
            plots.push(("model", plots::lines(&frame, &series)));
        }
        plots
    }
}
