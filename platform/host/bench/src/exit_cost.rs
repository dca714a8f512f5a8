// SPDX-License-Identifier: Apache-2.0
//! What an exit costs, by the probe's `test=cost`: the same calls and ITS commands on plain QEMU and under the
//! monitor, on one CPU, in instructions.

use crate::column::instruction_clock;
use crate::raw::Raw;
use crate::stats::{Summary, digits};
use baton_qemu::console::{self, Limits, Line};
use baton_qemu::report::Exits;
use baton_qemu::{Guest, Machine, paths};
use std::fmt::Write;
use std::time::Duration;

/// How often each is done.
const TIMES: u32 = 1000;
/// What the probe measures, and what that is.
const MEASURED: [(&str, &str); 3] = [
    ("call", "a call that returns at once (SMCCC_VERSION)"),
    ("lpi", "an LPI by an INT command, until it is taken"),
    ("batch", "a batch of 16 ITS commands"),
];

/// Takes the samples that are missing. The counts hardly vary: one of each is enough.
///
/// # Errors
/// If QEMU cannot be started, or the probe does not come to its end.
pub fn run(base: &Machine, raw: &mut Raw) -> Result<(), String> {
    let monitor = Some(paths::monitor());
    for (column, monitor, times) in [
        ("cost-plain", None, TIMES),
        ("cost-monitor", monitor.clone(), TIMES),
        ("cost-none", monitor, 0),
    ] {
        if raw.samples(column, 1) > 0 {
            continue;
        }
        println!("  {column}, {times} times each");
        let mut machine = Machine {
            smp: 1,
            monitor,
            its: true,
            gic: 3,
            uefi: None,
            ..base.clone()
        };
        machine.extra.extend(instruction_clock());
        let metrics = once(&machine, format!("test=cost calls={times}"))?;
        raw.add(column, 1, &metrics)
            .map_err(|error| format!("the samples cannot be written: {error}"))?;
    }
    Ok(())
}

/// Has the probe measure.
///
/// # Errors
/// If QEMU cannot be started, or the probe does not come to its end.
pub fn once(machine: &Machine, test: String) -> Result<Vec<(String, String)>, String> {
    let text = |error: baton_qemu::Error| error.to_string();
    let guest = Guest {
        kernel: paths::probe(),
        initrd: None,
        append: test,
    };
    let limits = Limits {
        total: Duration::from_secs(120),
        silence: Duration::from_secs(60),
    };
    let command = machine.command(&guest).map_err(text)?;
    let seen = console::watch(command, limits, |_| true).map_err(text)?;
    if seen.find("probe: PASS").is_none() {
        return Err(format!("the probe did not measure\n{}", seen.tail(30)));
    }
    Ok(figures(&seen.lines))
}

/// Reads instructions for each time, and exits in all, off a console.
fn figures(lines: &[Line]) -> Vec<(String, String)> {
    let mut metrics = Vec::new();
    for line in lines {
        if let Some((_, rest)) = line.text.split_once("probe: cost: ")
            && let Some((name, instructions)) = instructions(rest)
        {
            metrics.push((format!("{name} instructions"), format!("{instructions:.0}")));
        } else {
            metrics.extend(exits(&line.text));
        }
    }
    metrics
}

/// Reads `call: 1000 times in 160000 ns`.
fn instructions(text: &str) -> Option<(&str, f64)> {
    let (name, rest) = text.split_once(": ")?;
    Some((name, instructions_each(rest)?))
}

/// Reads `1000 times in 160000 ns`: under `-icount shift=0` a nanosecond is an instruction.
pub fn instructions_each(text: &str) -> Option<f64> {
    let (times, rest) = text.split_once(" times in ")?;
    let (times, ns): (f64, f64) = (times.parse().ok()?, rest.strip_suffix(" ns")?.parse().ok()?);
    (times > 0.0).then_some(ns / times)
}

/// The exits that a line has, by the names of their causes in the raw samples.
pub fn exits(line: &str) -> Vec<(String, String)> {
    let Some(exits) = Exits::parse(line) else {
        return Vec::new();
    };
    let Exits {
        calls,
        hooks,
        faults,
        others,
    } = exits;
    [
        ("calls", calls),
        ("hooks", hooks),
        ("faults", faults),
        ("others", others),
    ]
    .map(|(cause, count)| (cause.to_owned(), count.to_string()))
    .to_vec()
}

/// The table, in Markdown.
pub fn report(raw: &Raw) -> String {
    let of = |column, metric: &str| Some(Summary::of(raw.values(column, 1, metric))?.median);
    let shown = |value: Option<f64>| value.map_or("–".into(), digits);
    let mut text = String::from(
        "\nWhat an exit costs, in instructions on one CPU with an ITS (the probe's `test=cost`):\n\n\
         | what | plain | under Baton |\n|---|--:|--:|\n",
    );
    for (name, what) in MEASURED {
        let metric = format!("{name} instructions");
        let _ = writeln!(
            text,
            "| {what} | {} | {} |",
            shown(of("cost-plain", &metric)),
            shown(of("cost-monitor", &metric))
        );
    }
    let more = |cause| Some(of("cost-monitor", cause)? - of("cost-none", cause)?);
    let _ = writeln!(
        text,
        "\nExits for {TIMES} of each: {} for the calls, {} for the {} batches of ITS commands (an INT \
         with its SYNC is one).",
        shown(more("calls")),
        shown(more("others")),
        2 * TIMES,
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_probe_says() {
        let line = |text: &str| Line {
            at: Duration::ZERO,
            text: text.to_owned(),
        };
        let lines = [
            line("probe: cost: call: 1000 times in 160016 ns"),
            line("probe: cost: lpi: 0 times in 16 ns"),
            line("baton: exits so far: 1002 calls, 0 hooks, 0 faults, 2011 others"),
        ];
        let expected = [
            ("call instructions", "160"),
            ("calls", "1002"),
            ("hooks", "0"),
            ("faults", "0"),
            ("others", "2011"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(figures(&lines), expected);
    }
}
