// SPDX-License-Identifier: Apache-2.0
//! Boots a machine and looks at its console.

use crate::scratch::Scratch;
use baton_qemu::console::{Line, converse, watch};
use baton_qemu::{Console, Firmware, Guest, Limits, Machine, Module, Uefi, environment, paths};
use std::fmt::Display;
use std::ops::Deref;
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

/// Lines of the console that a failure shows.
const SHOWN: usize = 60;

/// The console of a machine that has ended, and what a test expects of it.
pub struct Boot(Console);

impl Deref for Boot {
    type Target = Console;

    fn deref(&self) -> &Console {
        &self.0
    }
}

impl Boot {
    /// A line must have `pattern` in it; returns the first.
    #[track_caller]
    pub fn expect(&self, pattern: &str) -> &str {
        match self.find(pattern) {
            Some(line) => &line.text,
            None => self.fail(format_args!("expected \"{pattern}\", seen no such line")),
        }
    }

    /// No line may have `pattern` in it.
    #[track_caller]
    pub fn expect_no(&self, pattern: &str) {
        if let Some(line) = self.find(pattern) {
            self.fail(format_args!(
                "expected no \"{pattern}\", seen \"{}\"",
                line.text
            ));
        }
    }

    /// `count` lines must have `pattern` in them, and no more.
    #[track_caller]
    pub fn expect_lines(&self, count: usize, pattern: &str) {
        let seen = self.all(pattern).count();
        if seen != count {
            self.fail(format_args!(
                "expected \"{pattern}\" in {count} lines, seen it in {seen}"
            ));
        }
    }

    /// The guest, or the monitor, must have switched the machine off or reset it.
    #[track_caller]
    pub fn expect_end(&self) {
        if !self.end.is_clean() {
            self.fail(format_args!(
                "expected the machine to be switched off, seen: {}",
                self.end
            ));
        }
    }

    /// The monitor must have given up with one line, in which all of `words` are (in any case).
    #[track_caller]
    pub fn expect_error(&self, words: &[&str]) {
        let line = self.expect("baton: error: ");
        let lower = line.to_lowercase();
        if let Some(word) = words
            .iter()
            .find(|word| !lower.contains(&word.to_lowercase()))
        {
            self.fail(format_args!(
                "expected \"{word}\" in the monitor's error, seen \"{line}\""
            ));
        }
        let count = self.all("baton: error: ").count();
        if count != 1 {
            self.fail(format_args!(
                "expected one error of the monitor, seen {count}"
            ));
        }
    }

    /// Fails with the reason of a check that returns what was expected and seen.
    #[track_caller]
    pub fn expect_ok(&self, result: Result<(), String>) {
        if let Err(reason) = result {
            self.fail(reason);
        }
    }

    /// Fails with a reason and the console.
    #[track_caller]
    pub fn fail(&self, reason: impl Display) -> ! {
        panic!("{reason}\n{}", self.tail(SHOWN))
    }
}

/// A machine with `smp` vCPUs; `CPU=`, `QEMU=` and the like are taken from the environment, the
/// number of vCPUs, the monitor and its command line are the test's.
#[track_caller]
pub fn machine(smp: u32) -> Machine {
    let machine = Machine::from_env(smp).unwrap_or_else(|error| panic!("{error}"));
    Machine {
        smp,
        monitor: Some(paths::monitor()),
        baton: String::new(),
        uefi: None,
        ..machine
    }
}

/// The same, started by UEFI with ACPI; its files are in `scratch`.
#[track_caller]
pub fn uefi_machine(smp: u32, scratch: &Scratch) -> Machine {
    Machine {
        uefi: Some(Uefi::new(scratch.path(""))),
        ..machine(smp)
    }
}

/// A number from the environment, for longer runs by hand; `default` if it is not set.
#[track_caller]
pub fn number<T: FromStr>(name: &'static str, default: T) -> T {
    environment::value(name, default, "a number").unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a guest to its end, for at most `seconds`.
#[track_caller]
pub fn boot(machine: &Machine, guest: &Guest, seconds: u64) -> Boot {
    run(
        machine
            .command(guest)
            .unwrap_or_else(|error| panic!("{error}")),
        seconds,
    )
}

/// As [`boot`]; `observe` is shown each line of the console as it comes.
#[track_caller]
pub fn boot_observed(
    machine: &Machine,
    guest: &Guest,
    seconds: u64,
    observe: impl FnMut(&str),
) -> Boot {
    let command = machine
        .command(guest)
        .unwrap_or_else(|error| panic!("{error}"));
    boot_watched(command, seconds, observe)
}

/// As [`boot_command`]; `observe` sees each line.
#[track_caller]
pub fn boot_watched(command: Command, seconds: u64, mut observe: impl FnMut(&str)) -> Boot {
    watched(command, seconds, |line| {
        observe(&line.text);
        true
    })
}

/// Starts the monitor with any modules, for at most `seconds`.
#[track_caller]
pub fn boot_modules(machine: &Machine, modules: &[Module], seconds: u64) -> Boot {
    run(
        machine
            .command_with_modules(modules)
            .unwrap_or_else(|error| panic!("{error}")),
        seconds,
    )
}

/// Starts the machine's U-Boot, which finds the monitor on the disks, for at most `seconds`.
#[track_caller]
pub fn boot_u_boot(machine: &Machine, seconds: u64) -> Boot {
    run(
        machine
            .command_with_firmware(&paths::u_boot())
            .unwrap_or_else(|error| panic!("{error}")),
        seconds,
    )
}

/// Starts the monitor with `firmware` as its guest, which finds its own on the disks, for at most
/// `seconds`.
#[track_caller]
pub fn boot_guest_firmware(
    machine: &Machine,
    firmware: Firmware,
    scratch: &Scratch,
    seconds: u64,
) -> Boot {
    run(
        machine
            .command_with_guest_firmware(firmware, &scratch.path(""))
            .unwrap_or_else(|error| panic!("{error}")),
        seconds,
    )
}

/// Runs QEMU by a command of one's own, for at most `seconds`.
#[track_caller]
pub fn boot_command(command: Command, seconds: u64) -> Boot {
    run(command, seconds)
}

/// As [`boot_command`]; what `answer` returns for a line of the console is typed.
#[track_caller]
pub fn boot_answered(
    command: Command,
    seconds: u64,
    mut answer: impl FnMut(&str) -> Option<String>,
) -> Boot {
    let console = converse(command, limits(seconds), |line, keyboard| {
        if let Some(text) = answer(&line.text) {
            keyboard.type_text(&text);
        }
        true
    });
    Boot(console.unwrap_or_else(|error| panic!("{error}")))
}

#[track_caller]
pub(crate) fn run(command: Command, seconds: u64) -> Boot {
    watched(command, seconds, |_| true)
}

/// Watches until `observe` returns false for a line, for at most `seconds`.
#[track_caller]
pub(crate) fn watched(command: Command, seconds: u64, observe: impl FnMut(&Line) -> bool) -> Boot {
    Boot(watch(command, limits(seconds), observe).unwrap_or_else(|error| panic!("{error}")))
}

fn limits(seconds: u64) -> Limits {
    let total = Duration::from_secs(seconds);
    Limits {
        total,
        silence: total.min(Duration::from_secs(180)),
    }
}
