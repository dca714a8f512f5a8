// SPDX-License-Identifier: Apache-2.0
//! The monitor's own command line, `/chosen/bootargs`.
#![forbid(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;
use log::LevelFilter;
use thiserror::Error;

/// What the monitor's words begin with on a command line that is the guest's too.
const PREFIX: &str = "baton.";
/// Shortest and longest bound that `wait=` takes, in milliseconds.
const WAIT_MS: core::ops::RangeInclusive<u64> = 1..=60_000;

/// What becomes of the calls in a Linux guest's `kernel_kexec()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hooks {
    /// They are replaced by calls of the monitor.
    #[default]
    On,
    /// They are left alone: the guest's own path runs.
    Off,
    /// They are replaced, and every kimage is refused: the fallback runs.
    Refuse,
}

/// How the CPUs walk the table of teardown steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Teardown {
    /// All at once, but for steps that are not safe so.
    #[default]
    Parallel,
    /// Every step runs CPU by CPU.
    Serial,
}

/// In which form the report of a reboot is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Report {
    /// As a table, when the machine is switched off or reset.
    #[default]
    Table,
    /// And every CPU's times as numbers for programs, after every reboot.
    Rows,
}

/// A fault of the monitor's own, caused on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultInjection {
    /// A CPU runs over the end of its stack.
    Stack,
    /// A CPU allocates while the CPUs are taken.
    Heap,
}

/// What the command line of the monitor can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `hooks=on|off|refuse`.
    pub hooks: Hooks,
    /// `log=error|warn|info|debug|trace|off`: the most that the console shows.
    pub log: LevelFilter,
    /// `teardown=parallel|serial`.
    pub teardown: Teardown,
    /// `report=table|rows`.
    pub report: Report,
    /// `wait=<ms>`, 1 to 60000: how long the boot CPU waits for the others to arrive.
    pub wait: Duration,
    /// `lpis=keep`: LPIs stay on once they are, as on interrupt controllers that cannot switch them
    /// off; to try what is done there.
    pub keep_lpis: bool,
    /// `tree=<address>`: where the guest's device tree is put, for firmware as a guest that looks for
    /// it at one place only.
    pub tree: Option<u64>,
    /// `skip-steps=<step>,…`: steps of the teardown that are skipped, to see that an audit finds it.
    pub skip_steps: Option<Box<str>>,
    /// `inject=stack@<cpu>|heap@<cpu>`: a CPU, by index, has that fault in phase 3 of a takeover, to see
    /// that it ends in a line and a reset.
    pub fault_injection: Option<(FaultInjection, usize)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hooks: Hooks::On,
            log: LevelFilter::Info,
            teardown: Teardown::Parallel,
            report: Report::Table,
            wait: Duration::from_secs(1),
            keep_lpis: false,
            tree: None,
            skip_steps: None,
            fault_injection: None,
        }
    }
}

/// A word of the command line that has no effect, and why.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Problem<'a> {
    /// The word is none of the monitor's.
    #[error("unknown option \"{0}\" ignored")]
    Unknown(&'a str),
    /// The option is known, its value is not.
    #[error("option \"{word}\" ignored: expected {expected}")]
    Value {
        /// The whole word.
        word: &'a str,
        /// What would have been taken.
        expected: &'static str,
    },
}

impl Options {
    /// Reads a command line of words separated by white space; of the same option twice, the last
    /// one counts.
    ///
    /// Firmware puts words of its own there, so none is fatal: what has no effect is returned
    /// beside the options.
    pub fn parse(line: &str) -> (Self, Vec<Problem<'_>>) {
        let mut options = Self::default();
        let problems = line
            .split_whitespace()
            .filter_map(|word| options.apply(word).err())
            .collect();
        (options, problems)
    }

    /// The same from a command line that is the guest's too: the monitor's words are those that begin
    /// with `baton.`, as Linux takes none that has a dot for its own.
    ///
    /// What is none of the monitor's is no problem there.
    pub fn parse_shared(line: &str) -> (Self, Vec<Problem<'_>>) {
        let mut options = Self::default();
        let problems = line
            .split_whitespace()
            .filter_map(|word| options.apply(word.strip_prefix(PREFIX)?).err())
            .filter(|problem| !matches!(problem, Problem::Unknown(_)))
            .collect();
        (options, problems)
    }

    fn apply<'a>(&mut self, word: &'a str) -> Result<(), Problem<'a>> {
        let (key, value) = word.split_once('=').ok_or(Problem::Unknown(word))?;
        let expected = match key {
            "hooks" => "on, off or refuse",
            "log" => "off, error, warn, info, debug or trace",
            "teardown" => "parallel or serial",
            "report" => "table or rows",
            "wait" => "milliseconds from 1 to 60000",
            "lpis" => "reset or keep",
            "skip-steps" => "names of steps",
            "inject" => "stack@<cpu> or heap@<cpu>",
            "tree" => "an address, 0x...",
            _ => return Err(Problem::Unknown(word)),
        };
        self.set(key, value)
            .ok_or(Problem::Value { word, expected })
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match (key, value) {
            ("hooks", "on") => self.hooks = Hooks::On,
            ("hooks", "off") => self.hooks = Hooks::Off,
            ("hooks", "refuse") => self.hooks = Hooks::Refuse,
            ("log", level) => self.log = level.parse().ok()?,
            ("teardown", "parallel") => self.teardown = Teardown::Parallel,
            ("teardown", "serial") => self.teardown = Teardown::Serial,
            ("report", "table") => self.report = Report::Table,
            ("report", "rows") => self.report = Report::Rows,
            ("wait", ms) => {
                let ms = ms.parse().ok().filter(|ms| WAIT_MS.contains(ms))?;
                self.wait = Duration::from_millis(ms);
            }
            ("lpis", "reset") => self.keep_lpis = false,
            ("lpis", "keep") => self.keep_lpis = true,
            ("inject", what) => {
                let (what, cpu) = what.split_once('@')?;
                let what = match what {
                    "stack" => FaultInjection::Stack,
                    "heap" => FaultInjection::Heap,
                    _ => return None,
                };
                self.fault_injection = Some((what, cpu.parse().ok()?));
            }
            ("tree", address) => {
                self.tree = Some(u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?);
            }
            ("skip-steps", name) if !name.is_empty() => self.skip_steps = Some(name.into()),
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(line: &str) -> Options {
        let (options, problems) = Options::parse(line);
        assert_eq!(problems, [], "problems of {line:?}");
        options
    }

    #[test]
    fn defaults_when_empty() {
        for line in ["", "  \t\n"] {
            assert_eq!(clean(line), Options::default());
        }
        let expected = (Hooks::On, LevelFilter::Info, Teardown::Parallel, 1000);
        let o = Options::default();
        assert_eq!((o.hooks, o.log, o.teardown, o.wait.as_millis()), expected);
    }

    #[test]
    fn reads_every_value() {
        for (word, hooks) in [
            ("on", Hooks::On),
            ("off", Hooks::Off),
            ("refuse", Hooks::Refuse),
        ] {
            assert_eq!(clean(&alloc::format!("hooks={word}")).hooks, hooks);
        }
        for level in LevelFilter::iter() {
            let word = alloc::format!("log={}", level.as_str().to_lowercase());
            assert_eq!(clean(&word).log, level, "{word}");
        }
        assert_eq!(clean("teardown=serial").teardown, Teardown::Serial);
        assert_eq!(clean("teardown=parallel").teardown, Teardown::Parallel);
        assert_eq!(clean("report=table").report, Report::Table);
        assert_eq!(clean("report=rows").report, Report::Rows);
        for ms in [1, 250, 60_000] {
            assert_eq!(
                clean(&alloc::format!("wait={ms}")).wait,
                Duration::from_millis(ms)
            );
        }
    }

    #[test]
    fn takes_several_words_and_the_last_of_two() {
        let expected = Options {
            hooks: Hooks::Refuse,
            log: LevelFilter::Debug,
            teardown: Teardown::Serial,
            report: Report::Rows,
            wait: Duration::from_millis(20),
            keep_lpis: true,
            tree: None,
            skip_steps: Some("pmu".into()),
            fault_injection: Some((FaultInjection::Heap, 3)),
        };
        let line = "inject=stack@0 inject=heap@3 hooks=off log=debug skip-steps=pmu lpis=keep  teardown=serial report=rows wait=20\thooks=refuse";
        assert_eq!(clean(line), expected);
    }

    #[test]
    fn shares_a_command_line() {
        let line = "console=ttyAMA0 hooks=off baton.log=warn baton.do=kexec baton.wait=0 log=7";
        let (options, problems) = Options::parse_shared(line);
        let expected = Options {
            log: LevelFilter::Warn,
            ..Options::default()
        };
        assert_eq!(options, expected);
        let expected = [Problem::Value {
            word: "wait=0",
            expected: "milliseconds from 1 to 60000",
        }];
        assert_eq!(problems, expected);
    }

    #[test]
    fn reads_where_the_tree_goes() {
        assert_eq!(clean("tree=0x40000000").tree, Some(0x4000_0000));
        for word in [
            "tree=",
            "tree=0x",
            "tree=40000000",
            "tree=0x1ffffffffffffffff",
        ] {
            let (options, problems) = Options::parse(word);
            assert_eq!((options.tree, problems.len()), (None, 1), "{word}");
        }
    }

    #[test]
    fn reports_what_it_ignores() {
        let line = "console=ttyAMA0 quiet hooks=maybe log=loud teardown= wait=0 wait=60001 wait=-1 log=warn inject=stack@ inject=x@1";
        let (options, problems) = Options::parse(line);
        assert_eq!(
            options,
            Options {
                log: LevelFilter::Warn,
                ..Options::default()
            }
        );
        let lines: Vec<_> = problems.iter().map(|p| alloc::format!("{p}")).collect();
        let wait = "milliseconds from 1 to 60000";
        let expected = [
            "unknown option \"console=ttyAMA0\" ignored".into(),
            "unknown option \"quiet\" ignored".into(),
            "option \"hooks=maybe\" ignored: expected on, off or refuse".into(),
            "option \"log=loud\" ignored: expected off, error, warn, info, debug or trace".into(),
            "option \"teardown=\" ignored: expected parallel or serial".into(),
            alloc::format!("option \"wait=0\" ignored: expected {wait}"),
            alloc::format!("option \"wait=60001\" ignored: expected {wait}"),
            alloc::format!("option \"wait=-1\" ignored: expected {wait}"),
            "option \"inject=stack@\" ignored: expected stack@<cpu> or heap@<cpu>".into(),
            "option \"inject=x@1\" ignored: expected stack@<cpu> or heap@<cpu>".into(),
        ];
        assert_eq!(lines, expected);
    }
}
