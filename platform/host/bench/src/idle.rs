// SPDX-License-Identifier: Apache-2.0
//! `make bench-idle`: what the monitor costs a guest that does not reboot.
//!
//! The same initramfs does the same work on plain QEMU and under the monitor, with `-icount`: the
//! guest's clock moves by 1 ns for each instruction of any vCPU, and jumps to the next timer where
//! all of them sleep. The kernel's log says, to the microsecond, when a load began and ended.

use crate::column::instruction_clock;
use crate::exit_cost;
use crate::raw::Raw;
use crate::start::enter_us;
use crate::stats::{Summary, digits};
use baton_qemu::console::{self, Limits, Line};
use baton_qemu::{Console, Machine, Task, paths};
use std::fmt::Write;
use std::time::Duration;

/// The loads of `guest/init`, and what they are.
const LOADS: [(&str, &str); 7] = [
    ("start", "the monitor's entry to the guest's"),
    ("boot", "the kernel's first time stamp to its first process"),
    ("compute", "gzip and sha256sum of busybox, three times"),
    ("fork", "300 processes, one after the other"),
    (
        "pipe",
        "30,000 bytes one by one from a process on CPU 0 to one on CPU 1",
    ),
    ("timer", "100 sleeps of 100 µs on every CPU at once"),
    ("idle", "two seconds of sleep"),
];
/// Causes of exits, by their names in the raw samples.
pub const EXITS: [&str; 4] = ["calls", "hooks", "faults", "others"];

/// What is run.
struct Run {
    /// What it is called in the raw samples.
    column: &'static str,
    /// Whether it is under the monitor.
    monitor: bool,
    /// Whether the guest does the loads, or nothing.
    loads: bool,
    /// Whether the machine has an ITS that the kernel uses.
    its: bool,
}

/// Has Linux use neither LPIs nor an ITS.
const NO_LPIS: &str = "irqchip.gicv3_nolpi=1";

const fn under_the_monitor(column: &'static str, loads: bool, its: bool) -> Run {
    Run {
        column,
        monitor: true,
        loads,
        its,
    }
}

const RUNS: [Run; 5] = [
    Run {
        column: "plain",
        monitor: false,
        loads: true,
        its: false,
    },
    under_the_monitor("monitor", true, false),
    under_the_monitor("no-loads", false, false),
    under_the_monitor("monitor-its", true, true),
    under_the_monitor("no-loads-its", false, true),
];

/// Takes the samples that are missing, and returns the report in Markdown.
///
/// # Errors
/// If QEMU cannot be started, or the guest does not come to its end.
pub fn run(base: &Machine, raw: &mut Raw, samples: u32, subject: &str) -> Result<String, String> {
    let smp = base.smp;
    for Run {
        column,
        monitor,
        loads,
        its,
    } in RUNS
    {
        while raw.samples(column, smp) < samples {
            let number = raw.samples(column, smp) + 1;
            println!("  {column}, {smp} vCPUs: sample {number} of {samples}");
            // QEMU 7.2 names an ITS in ACPI's tables where there is none, and Linux dies of that.
            let named_by_acpi = base.uefi.is_some();
            let mut machine = Machine {
                monitor: monitor.then(paths::monitor),
                its: its || named_by_acpi,
                ..base.clone()
            };
            machine.extra.extend(instruction_clock());
            let append = if its || !named_by_acpi { "" } else { NO_LPIS };
            let metrics = once(&machine, loads, append)?;
            raw.add(column, smp, &metrics)
                .map_err(|error| format!("the samples cannot be written: {error}"))?;
        }
    }
    exit_cost::run(base, raw)?;
    Ok(report(raw, base, subject))
}

fn once(machine: &Machine, loads: bool, append: &str) -> Result<Vec<(String, String)>, String> {
    let (task, last) = if loads {
        (Task::Loads, "idle us")
    } else {
        (Task::PowerOff, "boot us")
    };
    let seen = watch(machine, &task, append)?;
    let metrics = figures(&seen.lines);
    if metrics.iter().any(|(name, _)| name == last) {
        Ok(metrics)
    } else {
        Err(format!("the guest did not do its work\n{}", seen.tail(30)))
    }
}

/// Has Linux do `task`.
///
/// # Errors
/// If QEMU cannot be started.
pub fn watch(machine: &Machine, task: &Task, append: &str) -> Result<Console, String> {
    let text = |error: baton_qemu::Error| error.to_string();
    let limits = Limits {
        total: Duration::from_secs(1200),
        silence: Duration::from_secs(400),
    };
    let command = machine.command(&task.guest(append)).map_err(text)?;
    console::watch(command, limits, |_| true).map_err(text)
}

/// Reads the figures off a console.
pub fn figures(lines: &[Line]) -> Vec<(String, String)> {
    let mut metrics = Vec::new();
    let mut began = None;
    let mut add = |name: &str, value: f64| metrics.push((name.to_owned(), format!("{value:.0}")));
    for line in lines {
        let text = line.text.as_str();
        let at = stamp(text);
        if text.contains("guest: generation 0") {
            at.into_iter().for_each(|at| add("boot us", at));
        } else if text.contains("guest: load ") && text.ends_with(" begins") {
            began = at;
        } else if let Some((_, name)) = text.split_once("guest: load ")
            && let Some(name) = name.strip_suffix(" ended")
        {
            if let (Some(from), Some(to)) = (began.take(), at) {
                add(&format!("{name} us"), to - from);
            }
        } else if let Some(us) = enter_us(text) {
            add("start us", us);
        }
    }
    metrics.extend(lines.iter().flat_map(|line| exit_cost::exits(&line.text)));
    metrics
}

/// The time stamp of a line of the kernel's log, in microseconds.
fn stamp(text: &str) -> Option<f64> {
    let inside = text.strip_prefix('[')?.split_once(']')?.0;
    Some((inside.trim().parse::<f64>().ok()? * 1e6).round())
}

fn report(raw: &Raw, base: &Machine, subject: &str) -> String {
    let smp = base.smp;
    let of = |column, metric: &str| Summary::of(raw.values(column, smp, metric));
    let shown = |summary: Option<Summary>| summary.map_or("–".into(), |s| s.to_string());
    let mut text = String::from("# What Baton costs while it runs\n\n");
    for line in subject.lines() {
        let _ = writeln!(text, "- {line}");
    }
    let _ = writeln!(
        text,
        "- Clock: the guest's, under `-icount shift=0,sleep=off`: thousands of instructions of all \
         {smp} vCPUs together; where all of them sleep it jumps to the next timer.\n\
         - Plain: {} Under Baton: at EL1 below EL2 with stage 2, PSCI by SMC answered by Baton.\n\
         - An instruction takes as long with stage 2 as without it here: page walks are not counted.\n\
         - {} samples on plain QEMU and {} under Baton; median (least–most).\n\n\
         | load | plain | under Baton | more |\n|---|--:|--:|--:|",
        if base.uefi.is_some() {
            "the kernel at EL2, as UEFI starts it, PSCI by SMC answered by QEMU. Without an ITS: one \
             that the kernel does not use (`irqchip.gicv3_nolpi=1`)."
        } else {
            "the kernel at EL1 of a machine without EL2, PSCI by HVC answered by QEMU."
        },
        raw.samples("plain", smp),
        raw.samples("monitor", smp),
    );
    for (load, what) in LOADS {
        let metric = format!("{load} us");
        let (plain, monitor) = (of("plain", &metric), of("monitor", &metric));
        let more = match (plain, monitor) {
            (Some(plain), Some(monitor)) => {
                format!("{:+.2} %", (monitor.median / plain.median - 1.0) * 100.0)
            }
            _ => "–".into(),
        };
        let _ = writeln!(
            text,
            "| {load}: {what} | {} | {} | {more} |",
            shown(plain),
            shown(monitor)
        );
    }
    text.push_str("\nExits of the kernel from boot to power-off:\n\n");
    let rule = "--:|".repeat(EXITS.len());
    let _ = writeln!(text, "| | {} |\n|---|{rule}", EXITS.join(" | "));
    for (column, what) in [
        ("monitor", "with the loads"),
        ("no-loads", "without them"),
        ("monitor-its", "with an ITS, with the loads"),
        ("no-loads-its", "with an ITS, without them"),
    ] {
        let counts = EXITS.map(|cause| shown(of(column, cause)));
        let _ = writeln!(text, "| {what} | {} |", counts.join(" | "));
    }
    let more = |with, without| {
        let exits = |column| -> Option<f64> {
            let counts = EXITS.iter().map(|cause| of(column, cause));
            counts.map(|count| Some(count?.median)).sum()
        };
        Some(digits(exits(with)? - exits(without)?))
    };
    if let (Some(plain), Some(its)) = (
        more("monitor", "no-loads"),
        more("monitor-its", "no-loads-its"),
    ) {
        let _ = writeln!(
            text,
            "\nThe calls are PSCI's and SMCCC's, made while {smp} CPUs are turned on and at the end. The \
             others are stores to registers beside tables, batches of commands to an ITS that is set up, and \
             the first WFI of each CPU. The loads make {plain} more exits, with an ITS {its}."
        );
    }
    text += &exit_cost::report(raw);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_loads_and_exits() {
        let console = "baton: kernel at 0x44000000, entering it after 3603 us\n\
            [    1.500000] guest: generation 0, Linux 6.1, CPUs online: 8 of 8\n\
            [    1.600000] guest: load fork begins\n\
            [    1.750001] guest: load fork ended\n\
            baton: exits so far: 24 calls, 0 hooks, 1 faults, 0 others";
        let line = |text: &str| Line {
            at: Duration::ZERO,
            text: text.to_owned(),
        };
        let lines: Vec<_> = console.lines().map(line).collect();
        let expected = [
            ("start us", "3603"),
            ("boot us", "1500000"),
            ("fork us", "150001"),
            ("calls", "24"),
            ("hooks", "0"),
            ("faults", "1"),
            ("others", "0"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(figures(&lines), expected);
    }
}
