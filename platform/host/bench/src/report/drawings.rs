// SPDX-License-Identifier: Apache-2.0
//! The plots of the report: which there are, and what is in each.

use super::Report;
use crate::column::Column;
use crate::model;
use crate::plots::{self, Frame, Series};

impl Report<'_> {
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

    /// The plots by their names, or why one cannot be drawn.
    pub(super) fn plots(&self) -> Vec<(&'static str, Result<String, plots::Failed>)> {
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
        if let Some((what, timeline)) = &self.counted {
            plots.push((
                "timeline-counted",
                plots::gantt(
                    &format!("One reboot, each CPU by its own clock: {what}"),
                    &timeline.at_once(),
                ),
            ));
        }
        if let Some(modelled) = self.linux_bytes().and_then(|bytes| self.modelled(bytes)) {
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
