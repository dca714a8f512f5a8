// SPDX-License-Identifier: Apache-2.0
//! The monitor's own command line, `/chosen/bootargs`.
#![forbid(unsafe_code)]

use crate::el3_features::El3Features;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::time::Duration;
use log::LevelFilter;
use thiserror::Error;

/// Prefix of the monitor's options on a command line that it shares with the guest.
const PREFIX: &str = "baton.";
/// The values that `wait=` may have, in milliseconds.
const WAIT_MS: RangeInclusive<u64> = 1..=60_000;
/// The values that `park=` may have, in milliseconds.
const PARK_MS: RangeInclusive<u64> = 1..=3_600_000;
/// The interrupts that `crash-irq=` may name: SPIs (IHI 0069, 2.2).
const SPIS: RangeInclusive<u32> = 32..=1019;

/// What the monitor does with the two calls in a Linux guest's `kernel_kexec()` that lead to the
/// next kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hooks {
    /// They are patched, so that they call the monitor.
    #[default]
    On,
    /// They are left alone: Linux's own kexec runs.
    Off,
    /// They are patched, and the monitor refuses every kimage: Linux's own kexec runs after all.
    Refuse,
}

/// Whether the guest's calls of a trusted OS are handed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tee {
    /// They are answered NOT_SUPPORTED.
    #[default]
    Deny,
    /// Those of OP-TEE are handed on, with copies of their messages.
    Forward,
}

/// What becomes of a Linux guest that panics, and has a crash kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Crash {
    /// The two calls by which it leaves are patched: all CPUs are taken.
    #[default]
    On,
    /// The same, but devices' accesses to memory go on.
    KeepDma,
    /// Nothing is patched.
    Off,
}

/// What becomes of devices' accesses to memory at a takeover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceDma {
    /// They end.
    #[default]
    Stop,
    /// They go on.
    Keep,
}

/// What an SMMU lets through at the beginning of the next kernel, whose driver has not set it up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Smmu {
    /// Nothing.
    #[default]
    Abort,
    /// Everything, untranslated.
    Bypass,
    /// Nothing; and at any time no more than a CPU of the guest reaches, whatever its driver sets up.
    Fence,
}

/// How the CPUs walk the table of teardown steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Teardown {
    /// All CPUs at once, but for steps that are not safe in parallel.
    #[default]
    Parallel,
    /// One CPU after another, at every step.
    Serial,
}

/// How the report of a takeover is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Report {
    /// As a table, when the machine is switched off or reset.
    #[default]
    Table,
    /// The same, and after every takeover the times of each CPU, as numbers for programs.
    Rows,
}

/// A fault of the monitor's own, caused on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultInjection {
    /// A CPU runs over the end of its stack.
    Stack,
    /// A CPU allocates during a takeover, when the heap is sealed.
    Heap,
}

/// The options of the monitor's command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The words that count, with spaces between them.
    pub given: String,
    /// `hooks=on|off|refuse`.
    pub hooks: Hooks,
    /// `crash=on|off|keep-dma`: what becomes of a panic; nothing is patched for it with `hooks=off`.
    pub crash: Crash,
    /// `crash-irq=<INTID>`, 32 to 1019: the interrupt, an SPI, on which the guest is ended for its crash kernel,
    /// whatever its CPUs have masked.
    pub crash_irq: Option<u32>,
    /// `log=error|warn|info|debug|trace|off`: the least severe messages that are logged.
    pub log: LevelFilter,
    /// `log=uart`: the log goes to the UART while a guest runs too, whose console that may not be.
    pub log_to_uart: bool,
    /// `teardown=parallel|serial`.
    pub teardown: Teardown,
    /// `tee=deny|forward`.
    pub tee: Tee,
    /// `dma=stop|keep`.
    pub dma: DeviceDma,
    /// `smmu=abort|bypass|fence`.
    pub smmu: Smmu,
    /// `report=table|rows`.
    pub report: Report,
    /// `wait=<ms>`, 1 to 60000: how long the boot CPU of a takeover waits for the others to arrive.
    pub wait: Duration,
    /// `park=<ms>|keep`, 1 to 3600000: how long a CPU that is off waits in the monitor before it goes back to
    /// firmware; `None`: until it is turned on.
    pub park: Option<Duration>,
    /// `lpis=keep`: LPIs are not switched off, as on interrupt controllers that cannot; to test
    /// what the monitor does there.
    pub keep_lpis: bool,
    /// `no=<feature>,…`: features whose registers the monitor leaves alone, as firmware traps them.
    pub no: El3Features,
    /// `tree=<address>`: physical address of the guest's device tree, for a guest that expects it
    /// at one place, as firmware does.
    pub tree: Option<u64>,
    /// `skip-steps=<step>,…`: teardown steps that are skipped, to test that an audit finds what
    /// they leave.
    pub skip_steps: Option<Box<str>>,
    /// `inject=stack@<cpu>|heap@<cpu>`: the CPU with that index has that fault in phase 3 of a
    /// takeover, to test that it ends in a message and a reset.
    pub fault_injection: Option<(FaultInjection, usize)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            given: String::new(),
            hooks: Hooks::On,
            crash: Crash::default(),
            crash_irq: None,
            log: LevelFilter::Info,
            log_to_uart: false,
            teardown: Teardown::Parallel,
            tee: Tee::Deny,
            dma: DeviceDma::Stop,
            smmu: Smmu::Abort,
            report: Report::Table,
            wait: Duration::from_secs(1),
            park: Some(Duration::from_secs(30)),
            keep_lpis: false,
            no: El3Features::NONE,
            tree: None,
            skip_steps: None,
            fault_injection: None,
        }
    }
}

/// A word of the command line that has no effect, and why.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Problem<'a> {
    /// The word is no option of the monitor.
    #[error("unknown option \"{0}\" ignored")]
    Unknown(&'a str),
    /// The option is known, its value is not.
    #[error("option \"{word}\" ignored: expected {expected}")]
    Value {
        /// The whole word.
        word: &'a str,
        /// The values that the option takes.
        expected: &'static str,
    },
}

impl Options {
    /// Reads a command line, whose words are separated by white space. Of an option that is there
    /// twice, the last one counts.
    ///
    /// Firmware may put words of its own there, so none is an error: those that have no effect are
    /// returned beside the options.
    pub fn parse(line: &str) -> (Self, Vec<Problem<'_>>) {
        let mut options = Self::default();
        let problems = line
            .split_whitespace()
            .filter_map(|word| options.apply(word).err())
            .collect();
        (options, problems)
    }

    /// Reads a command line that the monitor shares with the guest. The monitor's options are the
    /// words that begin with `baton.`: Linux takes words with a dot for parameters of modules, and
    /// leaves these alone.
    ///
    /// Words without that prefix, and options that the monitor does not have, are no problem there.
    pub fn parse_shared(line: &str) -> (Self, Vec<Problem<'_>>) {
        let mut options = Self::default();
        let problems = line
            .split_whitespace()
            .filter_map(|word| options.apply(word.strip_prefix(PREFIX)?).err())
            .filter(|problem| !matches!(problem, Problem::Unknown(_)))
            .collect();
        (options, problems)
    }

    /// Sets the option that `word` names.
    fn apply<'a>(&mut self, word: &'a str) -> Result<(), Problem<'a>> {
        let (key, value) = word.split_once('=').ok_or(Problem::Unknown(word))?;
        let expected = match key {
            "hooks" => "on, off or refuse",
            "crash" => "on, off or keep-dma",
            "crash-irq" => "the number of an SPI, 32 to 1019",
            "log" => "off, error, warn, info, debug, trace or uart",
            "teardown" => "parallel or serial",
            "tee" => "deny or forward",
            "dma" => "stop or keep",
            "smmu" => "abort, bypass or fence",
            "report" => "table or rows",
            "wait" => "milliseconds from 1 to 60000",
            "park" => "milliseconds from 1 to 3600000, or keep",
            "lpis" => "reset or keep",
            "no" => "names of features",
            "skip-steps" => "names of steps",
            "inject" => "stack@<cpu> or heap@<cpu>",
            "tree" => "an address, 0x...",
            _ => return Err(Problem::Unknown(word)),
        };
        self.set(key, value)
            .ok_or(Problem::Value { word, expected })?;
        if !self.given.is_empty() {
            self.given.push(' ');
        }
        self.given.push_str(word);
        Ok(())
    }

    /// Sets option `key`; `None` if it does not take `value`.
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match (key, value) {
            ("hooks", "on") => self.hooks = Hooks::On,
            ("hooks", "off") => self.hooks = Hooks::Off,
            ("hooks", "refuse") => self.hooks = Hooks::Refuse,
            ("crash", "on") => self.crash = Crash::On,
            ("crash", "off") => self.crash = Crash::Off,
            ("crash", "keep-dma") => self.crash = Crash::KeepDma,
            ("crash-irq", intid) => {
                self.crash_irq = Some(intid.parse().ok().filter(|intid| SPIS.contains(intid))?);
            }
            ("log", "uart") => self.log_to_uart = true,
            ("log", level) => self.log = level.parse().ok()?,
            ("teardown", "parallel") => self.teardown = Teardown::Parallel,
            ("teardown", "serial") => self.teardown = Teardown::Serial,
            ("tee", "deny") => self.tee = Tee::Deny,
            ("tee", "forward") => self.tee = Tee::Forward,
            ("dma", "stop") => self.dma = DeviceDma::Stop,
            ("dma", "keep") => self.dma = DeviceDma::Keep,
            ("smmu", "abort") => self.smmu = Smmu::Abort,
            ("smmu", "bypass") => self.smmu = Smmu::Bypass,
            ("smmu", "fence") => self.smmu = Smmu::Fence,
            ("report", "table") => self.report = Report::Table,
            ("report", "rows") => self.report = Report::Rows,
            ("wait", ms) => self.wait = milliseconds(ms, WAIT_MS)?,
            ("park", "keep") => self.park = None,
            ("park", ms) => self.park = Some(milliseconds(ms, PARK_MS)?),
            ("lpis", "reset") => self.keep_lpis = false,
            ("lpis", "keep") => self.keep_lpis = true,
            ("no", names) => self.no = self.no.or(El3Features::parse(names)?),
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

/// Reads milliseconds of a `range`.
fn milliseconds(value: &str, range: RangeInclusive<u64>) -> Option<Duration> {
    let ms = value.parse().ok().filter(|ms| range.contains(ms))?;
    Some(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::el3_features::El3Feature;

    fn clean(line: &str) -> Options {
        let (options, problems) = Options::parse(line);
        assert_eq!(problems, [], "problems of {line:?}");
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(options.given, words.join(" "));
        Options {
            given: String::new(),
            ..options
        }
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
        for line in ["log=uart log=warn", "log=warn log=uart"] {
            let options = clean(line);
            let seen = (options.log, options.log_to_uart);
            assert_eq!(seen, (LevelFilter::Warn, true), "{line}");
        }
        assert_eq!(clean("crash=off").crash, Crash::Off);
        assert_eq!(clean("crash=keep-dma").crash, Crash::KeepDma);
        assert_eq!(clean("crash=keep-dma crash=on").crash, Crash::On);
        for (word, intid) in [("32", Some(32)), ("1019", Some(1019))] {
            let options = clean(&alloc::format!("crash-irq={word}"));
            assert_eq!(options.crash_irq, intid, "{word}");
        }
        for word in ["31", "1020", "-1", "0x22", ""] {
            let line = alloc::format!("crash-irq={word}");
            let (options, problems) = Options::parse(&line);
            assert_eq!((options.crash_irq, problems.len()), (None, 1), "{word}");
        }
        assert_eq!(clean("teardown=serial").teardown, Teardown::Serial);
        assert_eq!(clean("teardown=parallel").teardown, Teardown::Parallel);
        assert_eq!(clean("tee=deny").tee, Tee::Deny);
        assert_eq!(clean("tee=forward").tee, Tee::Forward);
        assert_eq!(clean("dma=stop").dma, DeviceDma::Stop);
        assert_eq!(clean("dma=keep").dma, DeviceDma::Keep);
        assert_eq!(clean("smmu=abort").smmu, Smmu::Abort);
        assert_eq!(clean("smmu=bypass").smmu, Smmu::Bypass);
        assert_eq!(clean("report=table").report, Report::Table);
        assert_eq!(clean("report=rows").report, Report::Rows);
        for ms in [1, 250, 60_000] {
            assert_eq!(
                clean(&alloc::format!("wait={ms}")).wait,
                Duration::from_millis(ms)
            );
        }
        for (word, park) in [("1", Some(1)), ("3600000", Some(3_600_000)), ("keep", None)] {
            let park = park.map(Duration::from_millis);
            assert_eq!(clean(&alloc::format!("park={word}")).park, park, "{word}");
        }
    }

    #[test]
    fn takes_several_words_and_the_last_of_two() {
        let expected = Options {
            given: String::new(),
            hooks: Hooks::Refuse,
            crash: Crash::Off,
            crash_irq: None,
            log: LevelFilter::Debug,
            log_to_uart: true,
            teardown: Teardown::Serial,
            tee: Tee::Forward,
            dma: DeviceDma::Keep,
            smmu: Smmu::Bypass,
            report: Report::Rows,
            wait: Duration::from_millis(20),
            park: Some(Duration::from_millis(5)),
            keep_lpis: true,
            no: El3Features::NONE
                .with(El3Feature::Brbe)
                .with(El3Feature::Mpam),
            tree: None,
            skip_steps: Some("pmu".into()),
            fault_injection: Some((FaultInjection::Heap, 3)),
        };
        let line = "crash=on crash=off inject=stack@0 inject=heap@3 hooks=off log=debug log=uart skip-steps=pmu lpis=keep no=mpam no=brbe  teardown=serial tee=forward dma=keep smmu=bypass report=rows wait=20 park=keep park=5\thooks=refuse";
        assert_eq!(clean(line), expected);
    }

    #[test]
    fn shares_a_command_line() {
        let line = "console=ttyAMA0 hooks=off baton.log=warn baton.do=kexec baton.wait=0 log=7";
        let (options, problems) = Options::parse_shared(line);
        let expected = Options {
            given: "log=warn".into(),
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
        let line = "console=ttyAMA0 quiet hooks=maybe crash=yes log=loud teardown= wait=0 wait=60001 wait=-1 park=0 park=3600001 log=warn inject=stack@ inject=x@1 no=mpam,x";
        let (options, problems) = Options::parse(line);
        assert_eq!(
            options,
            Options {
                given: "log=warn".into(),
                log: LevelFilter::Warn,
                ..Options::default()
            }
        );
        let lines: Vec<_> = problems.iter().map(|p| alloc::format!("{p}")).collect();
        let wait = "milliseconds from 1 to 60000";
        let park = "milliseconds from 1 to 3600000, or keep";
        let expected = [
            "unknown option \"console=ttyAMA0\" ignored".into(),
            "unknown option \"quiet\" ignored".into(),
            "option \"hooks=maybe\" ignored: expected on, off or refuse".into(),
            "option \"crash=yes\" ignored: expected on, off or keep-dma".into(),
            "option \"log=loud\" ignored: expected off, error, warn, info, debug, trace or uart"
                .into(),
            "option \"teardown=\" ignored: expected parallel or serial".into(),
            alloc::format!("option \"wait=0\" ignored: expected {wait}"),
            alloc::format!("option \"wait=60001\" ignored: expected {wait}"),
            alloc::format!("option \"wait=-1\" ignored: expected {wait}"),
            alloc::format!("option \"park=0\" ignored: expected {park}"),
            alloc::format!("option \"park=3600001\" ignored: expected {park}"),
            "option \"inject=stack@\" ignored: expected stack@<cpu> or heap@<cpu>".into(),
            "option \"inject=x@1\" ignored: expected stack@<cpu> or heap@<cpu>".into(),
            "option \"no=mpam,x\" ignored: expected names of features".into(),
        ];
        assert_eq!(lines, expected);
    }
}
