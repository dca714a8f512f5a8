// SPDX-License-Identifier: Apache-2.0
//! The monitor's report of the last reboot, as it prints it when the guest switches the machine off.

use crate::Console;
use std::time::Duration;

const BEGIN: &str = "baton: report: begin";
const END: &str = "baton: report: end";

/// The lines of the last complete report on the console, without their prefix.
pub fn lines(console: &Console) -> Option<Vec<String>> {
    let mut found = None;
    let mut open: Option<Vec<String>> = None;
    for line in &console.lines {
        let text = line.text.as_str();
        if text.contains(BEGIN) {
            open = Some(Vec::new());
        } else if text.contains(END) {
            found = open.take().or(found);
        } else if let Some(report) = &mut open
            && let Some(row) = text.strip_prefix("baton:")
        {
            report.push(row.strip_prefix(' ').unwrap_or(row).to_owned());
        }
    }
    found
}

/// What the monitor says on the console when it enters a kernel after a takeover.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Takeover {
    /// The kernel's number.
    pub generation: u32,
    /// From the hook to the kernel's first instruction.
    pub time: Duration,
    /// CPUs that did not arrive.
    pub missing: u32,
    /// Teardown steps that failed.
    pub failed: u32,
}

impl Takeover {
    /// Reads `baton: generation N: entered T us after ..., M CPUs missing, F steps failed`.
    fn parse(line: &str) -> Option<Self> {
        let (generation, rest) = line
            .split_once("baton: generation ")?
            .1
            .split_once(": entered ")?;
        let (micros, rest) = rest.split_once(" us after ")?;
        let count = |what: &str| {
            let before = rest.split_once(what)?.0;
            before.rsplit(' ').next()?.parse().ok()
        };
        let micros: f64 = micros.parse().ok()?;
        Some(Self {
            generation: generation.parse().ok()?,
            time: Duration::try_from_secs_f64(micros * 1e-6).ok()?,
            missing: count(" CPUs missing")?,
            failed: count(" steps failed")?,
        })
    }
}

/// All takeovers on the console, in order.
pub fn takeovers(console: &Console) -> Vec<Takeover> {
    console
        .lines
        .iter()
        .filter_map(|line| Takeover::parse(&line.text))
        .collect()
}

/// Exits of a kernel by what caused them, as the monitor counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exits {
    /// Calls: PSCI's, SMCCC's, and the monitor's own.
    pub calls: u64,
    /// Hooks of a kexec.
    pub hooks: u64,
    /// Faults of stage 2.
    pub faults: u64,
    /// All others: stores to registers that are guarded, and first WFIs.
    pub others: u64,
}

impl Exits {
    /// Reads `baton: exits so far: C calls, H hooks, F faults, O others`, which the monitor says at the end.
    pub fn parse(line: &str) -> Option<Self> {
        let counts = line.split_once("baton: exits so far: ")?.1;
        let mut exits = Self::default();
        for part in counts.split(", ") {
            let (count, cause) = part.trim().split_once(' ')?;
            let exits = match cause {
                "calls" => &mut exits.calls,
                "hooks" => &mut exits.hooks,
                "faults" => &mut exits.faults,
                "others" => &mut exits.others,
                _ => return None,
            };
            *exits = count.parse().ok()?;
        }
        Some(exits)
    }
}

/// Checks that the monitor carried `expected` kexecs.
///
/// # Errors
/// What was expected, and what was seen.
pub fn check_takeovers(console: &Console, expected: usize) -> Result<(), String> {
    match takeovers(console).len() {
        seen if seen == expected => Ok(()),
        seen => Err(format!(
            "expected kexecs under the monitor: {expected}, seen {seen}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{End, Line};

    fn console(text: &str) -> Console {
        let lines = text
            .lines()
            .map(|text| Line {
                at: Duration::ZERO,
                text: text.into(),
            })
            .collect();
        Console {
            lines,
            end: End::Stopped,
        }
    }

    #[test]
    fn takes_the_last_whole_report() {
        let text = "baton: report: begin\nbaton: a\nbaton: report: end\n[ 1.0] noise\n\
                    baton: report: begin\nbaton: b\n[ 2.0] noise\nbaton:  c\nbaton: report: end\n\
                    baton: report: begin\nbaton: cut";
        assert_eq!(
            lines(&console(text)),
            Some(vec!["b".to_owned(), " c".to_owned()])
        );
        assert_eq!(lines(&console("baton: report: begin\nbaton: a")), None);
    }

    #[test]
    fn reads_a_takeover() {
        let line = "baton: generation 3: entered 467532.5 us after kernel_kexec(), 33259 KiB copied, \
                    1 CPUs missing, 2 steps failed";
        let expected = Takeover {
            generation: 3,
            time: Duration::from_nanos(467_532_500),
            missing: 1,
            failed: 2,
        };
        assert_eq!(Takeover::parse(line), Some(expected));
        assert_eq!(Takeover::parse("guest: generation 3, Linux 6.1"), None);
    }

    #[test]
    fn reads_exits() {
        let line = "baton: exits so far: 24 calls, 2 hooks, 1 faults, 72 others";
        let expected = Exits {
            calls: 24,
            hooks: 2,
            faults: 1,
            others: 72,
        };
        assert_eq!(Exits::parse(line), Some(expected));
        assert_eq!(
            Exits::parse("baton: exits of the kernel that was left: 1 calls"),
            None
        );
    }
}
