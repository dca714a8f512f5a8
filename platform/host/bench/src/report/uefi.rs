// SPDX-License-Identifier: Apache-2.0
//! The tables of a machine that UEFI starts, and that ACPI describes.

use super::Report;
use crate::column::Column;
use crate::stats::digits;
use std::fmt::Write;

/// How many more instructions a kexec may take than on a machine with a device tree, in percent.
const MORE_AT_MOST: f64 = 5.0;

/// The parts of the critical path that are compared, and their headings.
const PARTS: [(&str, &str); 4] = [
    ("validate instructions", "validate"),
    ("path instructions", "path without the copy"),
    ("copy instructions", "copy"),
    ("whole instructions", "**whole**"),
];

impl Report<'_> {
    /// How long the machine is away.
    pub(super) fn uefi(&self, text: &mut String) {
        text.push_str(
            "## The same by UEFI with ACPI, with an ITS, ms (host's clock)\n\n\
             Firmware starts the kernel at EL2, or Baton and then the kernel at EL1. The stock kernel keeps \
             its ITS alive here: UEFI reserves the tables for the next one. From \"Starting new kernel\" to \
             the next kernel's first instruction, and in the last columns how many times shorter that is \
             under Baton:\n\n",
        );
        let titles = Column::UEFI.map(Column::title).join(" | ");
        let _ = writeln!(
            text,
            "| vCPUs | {titles} | than stock | than stock with `-i` |\n|--:|--:|--:|--:|--:|--:|"
        );
        for smp in self.sizes(Column::BatonUefi) {
            let cells = Column::UEFI.map(|column| self.cell(column, smp, "away ms"));
            let times = |stock| {
                self.ratio(stock, Column::BatonUefi, smp, "away ms")
                    .map_or("not measured yet".into(), digits)
            };
            let _ = writeln!(
                text,
                "| {smp} | {} | {} | {} |",
                cells.join(" | "),
                times(Column::StockUefi),
                times(Column::StockUefiUnchecked)
            );
        }
        text.push('\n');
    }

    /// What a kexec of Linux takes there, beside a machine with a device tree.
    pub(super) fn uefi_counts(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "## A kexec of Linux by UEFI with ACPI and with a device tree, instructions (virtual clock)\n\n\
             The same parts as above, on machines with an ITS; the whole is the critical path with the \
             validation and the copy of the CPU that copies most (goal: {MORE_AT_MOST} % more at most).\n\n\
             | vCPUs | machine | {} |\n|--:|---|{}",
            PARTS.map(|(_, heading)| heading).join(" | "),
            "--:|".repeat(PARTS.len())
        );
        for smp in self.sizes(Column::UefiCount) {
            for column in [Column::TreeCount, Column::UefiCount] {
                let cells = PARTS.map(|(metric, _)| self.cell(column, smp, metric));
                let _ = writeln!(
                    text,
                    "| {smp} | {} | {} |",
                    column.title(),
                    cells.join(" | ")
                );
            }
            let more = PARTS.map(|(metric, _)| {
                self.ratio(Column::UefiCount, Column::TreeCount, smp, metric)
                    .map_or("–".into(), |ratio| {
                        format!("{:+.2} %", (ratio - 1.0) * 100.0)
                    })
            });
            let _ = writeln!(text, "| {smp} | more by UEFI | {} |", more.join(" | "));
        }
        text.push('\n');
    }
}
