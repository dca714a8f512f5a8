// SPDX-License-Identifier: Apache-2.0
//! The tables of the report, and the words between them, in Markdown.

use super::Report;
use crate::column::Column;
use crate::model::{ASSUMPTIONS, INITRD};
use crate::stats::{Summary, digits};
use std::fmt::Write;

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
const PHASES: [(&str, &str); 8] = [
    ("hook us", "hook to entry"),
    ("kick us", "kick"),
    ("gather us", "gather"),
    ("validate us", "validate"),
    ("phase 1 us", "phase 1"),
    ("phase 2 us", "phase 2"),
    ("phase 3 us", "phase 3"),
    ("enter us", "enter"),
];
const COUNTS: [(&str, &str); 9] = [
    ("kick instructions", "kick"),
    ("accept instructions", "accept"),
    ("phase 1 instructions", "phase 1"),
    ("phase 2 instructions", "phase 2"),
    ("phase 3 instructions", "phase 3"),
    ("enter instructions", "enter"),
    ("path instructions", "**path**"),
    ("longest CPU instructions", "longest CPU"),
    ("copy most to mean", "copy: most to mean"),
];

impl Report<'_> {
    /// All of `report.md` but what is said of plots that are missing.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::from("# How long a machine is away\n\n");
        for line in self.subject.lines() {
            text += &format!("- {line}\n");
        }
        text += &self.preface();
        let _ = writeln!(text, "## Goals\n\n{}", self.goals_table());
        self.linux(&mut text);
        self.uefi(&mut text);
        self.phases(&mut text);
        self.counts(&mut text);
        self.uefi_counts(&mut text);
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
            let shown = |stock| {
                self.ratio(stock, Column::Baton, smp, "away ms")
                    .map_or("not measured yet".into(), digits)
            };
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
        text.push_str("![a reboot](timeline.svg)\n\n");
        text.push_str(
            "The same counted in instructions, each lane by its CPU's own, as where CPUs work at once:\n\n\
             ![a reboot, each CPU by its own clock](timeline-counted.svg)\n\n",
        );
        text.push_str("![copy bandwidth](bandwidth.svg)\n\n");
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
        text.push_str(
            "## Start, instructions (virtual clock, `-icount shift=0,sleep=off`), 80 CPUs\n\n\
             | what | median | goal |\n|---|--:|--:|\n",
        );
        for column in Column::STARTS {
            let goal = match column {
                Column::Start => "10,000,000",
                Column::StartUefi => "20,000,000",
                _ => "–",
            };
            let _ = writeln!(
                text,
                "| {} | {} | {goal} |",
                column.title(),
                self.cell(column, 80, "start instructions")
            );
        }
        let _ = writeln!(
            text,
            "| patching the hooks in {kernel}, the largest kernel at hand | {} | 50,000,000 |\n",
            self.cell(Column::Start, 80, "patching instructions"),
        );
    }

    fn model(&self, text: &mut String) {
        text.push_str(
            "## A model of real machines\n\n**This is a model, not a measurement**: the counted \
             instructions above, and public figures of Neoverse N1 machines. Times in µs.\n\n",
        );
        let mib = |bytes: f64| digits(bytes / f64::from(1 << 20));
        let rows = self.linux_bytes().and_then(|kernel| {
            let of = |bytes| Some((bytes, self.modelled(bytes)?));
            Some([of(kernel)?, of(kernel + INITRD)?])
        });
        let Some(rows) = rows else {
            text.push_str("There are not enough samples for it yet.\n\n");
            return;
        };
        text.push_str(
            "| copied | CPUs | the list | kick, exits, phases | interrupt controller | barriers | copy | \
             **hook to first instruction** | the memory alone | the same at its peak | stock Linux taking its \
             CPUs down |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for (bytes, machines) in &rows {
            for (cpus, m) in machines {
                let _ = writeln!(
                    text,
                    "| {} MiB | {cpus} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | **{:.0}** | {:.0} | {:.0} | {} |",
                    mib(*bytes),
                    m.check,
                    m.phases,
                    m.devices,
                    m.barriers,
                    m.copy,
                    m.total(),
                    m.memory,
                    m.peak,
                    digits(m.stock)
                );
            }
        }
        let _ = writeln!(
            text,
            "\nIt copies what Linux's kexec copied above, {} MiB, and with {} MiB of initrd more. The memory alone: \
             each byte read once and written once, and nothing else done. The copy is as long as the memory takes, or the \
             cores, or the boot CPU, which prepares its report and the next tree meanwhile. Assumptions:\n\n\
             | what | value | from |\n|---|--:|---|",
            mib(self.linux_bytes().unwrap_or(0.0)),
            mib(INITRD)
        );
        for a in ASSUMPTIONS {
            let _ = writeln!(
                text,
                "| {} | {} {} | {} |",
                a.what, a.value, a.unit, a.source
            );
        }
        text.push_str(
            "\nLeft out: misses of data and of TLBs beyond the instructions a cycle, DMA that competes \
             for memory, and sockets: 512 CPUs are taken to share the memory of one.\n\n\
             ![the model](model.svg)\n\n",
        );
    }
}
