// SPDX-License-Identifier: Apache-2.0
//! The goals, and whether the figures meet them.

use super::Report;
use crate::column::Column;
use crate::model;
use crate::stats::digits;
use std::fmt::Write;

/// What a list of 8,700 pages took on 1 CPU when one CPU walked it (build 8d3f3ad), in instructions: no more
/// may it take.
const LIST_ALONE: f64 = 2_278_496.0;
/// CPUs of the machine that most goals are about.
const CPUS: u32 = 80;

/// A goal.
pub(super) struct Goal {
    /// What it is about, with its unit.
    what: &'static str,
    /// What the figure may be.
    bound: Bound,
    /// What it is; `None` if there are no samples of it.
    figure: Option<f64>,
}

/// What a figure may be.
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    const fn at_most(what: &'static str, bound: f64, figure: Option<f64>) -> Self {
        let bound = Bound::AtMost(bound);
        Self {
            what,
            bound,
            figure,
        }
    }

    /// Its row of a Markdown table.
    fn row(&self) -> String {
        let (words, value) = match self.bound {
            Bound::AtMost(value) => ("at most", value),
            Bound::AtLeast(value) => ("at least", value),
        };
        let (figure, verdict) = match self.figure {
            Some(figure) => {
                let is_met = match self.bound {
                    Bound::AtMost(most) => figure <= most,
                    Bound::AtLeast(least) => figure >= least,
                };
                (digits(figure), if is_met { "yes" } else { "**no**" })
            }
            None => ("not measured".into(), "–"),
        };
        let goal = digits_of_goal(value);
        format!("| {} | {words} {goal} | {figure} | {verdict} |", self.what)
    }
}

/// A goal has no more digits than it needs.
fn digits_of_goal(value: f64) -> String {
    if value.abs() < 9_999.5 {
        value.to_string()
    } else {
        digits(value)
    }
}

impl Report<'_> {
    /// All goals, with the figures that there are.
    pub(super) fn goals(&self) -> [Goal; 12] {
        let median = |column, smp, metric| Some(self.summary(column, smp, metric)?.median);
        let check = |column, smp| median(column, smp, "list instructions");
        let path = |smp| median(Column::ProbeCount, smp, "path instructions");
        let over = |of: Option<f64>, by: Option<f64>| Some(of? / by?);
        let modelled = |more| {
            let modelled = self.modelled(self.linux_bytes()? + more)?;
            let (_, machine) = modelled.into_iter().find(|(cpus, _)| *cpus == CPUS)?;
            Some(machine.total())
        };
        let stock = median(Column::StockUnchecked, CPUS, "away ms").map(|ms| ms * 1e3);
        [
            Goal::at_most(
                "a list of 8,700 pages on the path, 80 CPUs, instructions",
                40_000.0,
                check(Column::List, CPUS),
            ),
            Goal::at_most(
                "the same on 1 CPU, instructions",
                LIST_ALONE,
                check(Column::List, 1),
            ),
            Goal::at_most(
                "a list of 280,000 pages, times that of 8,700, 80 CPUs",
                20.0,
                over(check(Column::LongList, CPUS), check(Column::List, CPUS)),
            ),
            Goal::at_most(
                "the next kernel's device tree, of 80 CPUs, instructions",
                80_000.0,
                median(Column::List, CPUS, "tree instructions"),
            ),
            Goal::at_most(
                "critical path without copy and list, 8 CPUs, instructions",
                10_000.0,
                path(8),
            ),
            Goal::at_most(
                "the same on 512 CPUs, times that on 8",
                1.2,
                over(path(512), path(8)),
            ),
            Goal::at_most("model, 80 CPUs, Debian's kernel, µs", 700.0, modelled(0.0)),
            Goal::at_most(
                "model, 80 CPUs, with 128 MiB of initrd, µs",
                2200.0,
                modelled(model::INITRD),
            ),
            Goal {
                what: "Linux on 80 vCPUs, hook to entry, times shorter than stock's kexec with `-i`",
                bound: Bound::AtLeast(130.0),
                figure: over(stock, median(Column::Baton, CPUS, "hook us")),
            },
            Goal::at_most(
                "a refused kexec, 80 CPUs, instructions of the boot CPU",
                60_000.0,
                median(Column::Refusal, CPUS, "refusal instructions"),
            ),
            Goal::at_most(
                "a panic, 4 CPUs, hook to entry but for the verification and what is done beside it, instructions",
                100_000.0,
                median(Column::CrashCount, 4, "crash path instructions"),
            ),
            Goal::at_most(
                "its verification, instructions a byte",
                5.0,
                median(Column::CrashCount, 4, "verify instructions a byte"),
            ),
        ]
    }

    /// The goals as a table in Markdown.
    pub fn goals_table(&self) -> String {
        let mut text = String::from("| goal | | figure | met |\n|---|--:|--:|---|\n");
        for goal in self.goals() {
            let _ = writeln!(text, "{}", goal.row());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bound: Bound, figure: Option<f64>) -> String {
        let what = "it";
        let goal = Goal {
            what,
            bound,
            figure,
        };
        goal.row()
    }

    #[test]
    fn a_goal_is_met_at_its_bound() {
        for (bound, figure, expected) in [
            (
                Bound::AtMost(1.2),
                Some(1.2),
                "| it | at most 1.2 | 1.20 | yes |",
            ),
            (
                Bound::AtMost(1.2),
                Some(1.21),
                "| it | at most 1.2 | 1.21 | **no** |",
            ),
            (
                Bound::AtLeast(130.0),
                Some(130.0),
                "| it | at least 130 | 130 | yes |",
            ),
            (
                Bound::AtLeast(130.0),
                Some(97.0),
                "| it | at least 130 | 97.0 | **no** |",
            ),
            (
                Bound::AtMost(4e4),
                None,
                "| it | at most 40,000 | not measured | – |",
            ),
        ] {
            assert_eq!(row(bound, figure), expected);
        }
    }
}
