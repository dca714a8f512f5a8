// SPDX-License-Identifier: Apache-2.0
//! The way in by kexec: a Linux at EL2, started without the monitor, kexecs an image of the monitor with
//! the same kernel behind it, and that kernel goes on at EL1.

use crate::machine::{Disk, Guest, Machine};
use crate::{Console, Error, linux, paths, report, script};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// Bytes of a disk's block: the guest reads the image from a bare disk.
const BLOCK: u64 = 512;
/// What kernels say of the level that they were started at.
const AT_EL2: &str = "CPU: All CPU(s) started at EL2";
const AT_EL1: &str = "CPU: All CPU(s) started at EL1";
/// What the guest's first process says below the monitor, and what Linux says itself.
const SAME: &str = "guest: the command line is the same: ";
const COMMAND_LINE: &str = "Kernel command line: ";

/// Puts an image of the monitor and `kernel` into `folder`, and on a disk of `machine`, which starts without
/// the monitor.
///
/// # Errors
/// [`Error::File`] for what cannot be written, [`Error::Program`] if the image cannot be made.
pub fn prepare(machine: &mut Machine, kernel: &Path, folder: &Path) -> Result<(), Error> {
    let monitor = machine.monitor.take().unwrap_or_else(paths::monitor);
    let file = folder.join("monitor-and-kernel.img");
    let failed = |error| Error::File {
        path: file.clone(),
        error,
    };
    fs::create_dir_all(folder).map_err(failed)?;
    let mut append = Command::new(paths::append_script());
    append.arg(&monitor).args([kernel, &file]);
    script::run(&mut append)?;
    let open = File::options().write(true).open(&file);
    open.and_then(|file| file.set_len(file.metadata()?.len().next_multiple_of(BLOCK)))
        .map_err(failed)?;
    machine.disks.push(Disk::kernels(file));
    Ok(())
}

/// The command that starts `guest` on the machine, at EL2.
///
/// # Errors
/// As [`Machine::command`].
pub fn command(machine: &Machine, guest: &Guest) -> Result<Command, Error> {
    match machine.uefi {
        Some(_) => machine.command(guest),
        None => machine.command_of_kernel(guest, true),
    }
}

/// Checks that a kernel ran at EL2, then at EL1 with the same command line, and then the one that it
/// kexecs, each with `smp` CPUs.
///
/// # Errors
/// What was expected, and what was seen.
pub fn check(console: &Console, smp: u32) -> Result<(), String> {
    linux::check(console, 1, smp)?;
    let numbers: Vec<_> = linux::generations(console)
        .iter()
        .map(|generation| (generation.number, generation.online))
        .collect();
    let expected = [(0, smp), (0, smp), (1, smp)];
    if numbers != expected {
        return Err(format!(
            "expected the generations and CPUs {expected:?}; seen {numbers:?}"
        ));
    }
    for (level, expected) in [(AT_EL2, 1), (AT_EL1, 2)] {
        let seen = console.all(level).count();
        if seen != expected {
            return Err(format!(
                "expected \"{level}\" {expected} times; seen {seen} times"
            ));
        }
    }
    let after = |text: &str, what: &str| {
        let line = text
            .split_once(what)
            .map(|(_, line)| line.trim().to_owned());
        line.unwrap_or_default()
    };
    let first = console.find(COMMAND_LINE).map(|line| &line.text);
    let first = first.map(|text| after(text, COMMAND_LINE));
    let same = console.find(SAME).map(|line| after(&line.text, SAME));
    if first.is_none() || first != same {
        return Err(format!(
            "expected the command line {first:?} below the monitor; seen {same:?}"
        ));
    }
    report::check_takeovers(console, 1)
}
