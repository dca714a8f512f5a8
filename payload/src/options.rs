// SPDX-License-Identifier: Apache-2.0
//! The command line: words of the form `name=value`.

use crate::outcome::{Failure, Outcome, ensure};
use crate::states::{STATES, State};

/// Who asks for the reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The CPU that this generation was entered on.
    Boot,
    /// The last one that is up.
    Last,
    /// The last two that are up, at once, each with a list of its own.
    Two,
}

/// Who ran before generation 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nobody: generation 0 leaves the state that generation 1 looks for.
    Probe,
    /// Linux, which has kexecked the probe.
    Linux,
}

/// What the command line asks for.
pub struct Options {
    /// `test=`: the name of the test.
    pub test: Option<&'static str>,
    /// `generations=`: how many reboots before the run is good; 1 if not given.
    pub generations: u64,
    /// `state=`: the state that all CPUs are put into; a mix of them if not given.
    pub state: Option<&'static State>,
    /// `missing=`: how many CPUs the first reboot has to lose; 0 if not given.
    pub missing: u64,
    /// `caller=`: who asks for the reboot; `boot` if not given.
    pub caller: Caller,
    /// `move=`: MiB that each reboot moves beside the image; 4 if not given.
    pub move_mib: u64,
    /// `list=`: pages that each reboot fills beside that, to have a long list; 0 if not given.
    pub list: u64,
    /// `held=`: the CPU, by its place in the device tree, that a debugger has to hold before the
    /// first reboot; none if not given.
    pub held: Option<u64>,
    /// `seed=`: what random numbers begin with; 1 if not given.
    pub seed: u64,
    /// `calls=`: how often each CPU does what a test does at random, or counts; 2000 if not given.
    pub calls: u64,
    /// `late=yes`: lost CPUs arrive after all, and are turned on. Not if not given.
    pub late: bool,
    /// `stdout=gone`: the next generations' trees have a `stdout-path` that leads nowhere. Not if not
    /// given.
    pub stdout_gone: bool,
    /// `after=linux`: Linux has kexecked generation 0. Not if not given.
    pub after: After,
}

impl Options {
    /// Reads the words. One that is not known is a failure: a misspelt option must not pass unnoticed.
    pub fn parse(bootargs: &'static str) -> Outcome<Self> {
        let mut options = Self {
            test: None,
            generations: 1,
            state: None,
            missing: 0,
            caller: Caller::Boot,
            move_mib: 4,
            list: 0,
            held: None,
            seed: 1,
            calls: 2000,
            late: false,
            stdout_gone: false,
            after: After::Probe,
        };
        for word in bootargs.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("test", name)) => options.test = Some(name),
                Some(("generations", value)) => options.generations = number(word, value)?,
                Some(("state", name)) => {
                    let known = STATES.iter().find(|state| state.name == name);
                    options.state = Some(known.ok_or_else(|| unknown(word))?);
                }
                Some(("caller", "boot")) => options.caller = Caller::Boot,
                Some(("caller", "last")) => options.caller = Caller::Last,
                Some(("caller", "two")) => options.caller = Caller::Two,
                Some(("after", "linux")) => options.after = After::Linux,
                Some(("held", value)) => options.held = Some(number(word, value)?),
                Some(("late", "yes")) => options.late = true,
                Some(("stdout", "gone")) => options.stdout_gone = true,
                Some(("missing", value)) => options.missing = number(word, value)?,
                Some(("seed", value)) => options.seed = number(word, value)?,
                Some(("calls", value)) => options.calls = number(word, value)?,
                Some(("move", value)) => options.move_mib = number(word, value)?,
                Some(("list", value)) => options.list = number(word, value)?,
                _ => return Err(unknown(word)),
            }
        }
        ensure!(
            (1..=16).contains(&options.move_mib),
            "expected move= from 1 to 16, seen {}",
            options.move_mib
        );
        Ok(options)
    }
}

fn unknown(word: &str) -> Failure {
    Failure::new(format_args!(
        "expected test=, generations=, state=, caller=, missing=, move=, list=, held=, seed=, calls=, late=, stdout=, after= in bootargs, seen {word}"
    ))
}

fn number(word: &str, value: &str) -> Outcome<u64> {
    value
        .parse()
        .map_err(|_| Failure::new(format_args!("expected a number, seen {word}")))
}
