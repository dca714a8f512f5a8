// SPDX-License-Identifier: Apache-2.0
//! Does what the command line says.

use crate::arguments::{Arguments, Command, How};
use crate::attempt::{self, Wishes};
use crate::evidence::Evidence;
use crate::gantt::Gantt;
use crate::install;
use crate::install::work::{Wish, Work};
use crate::plan::{Plan, Runner};
use crate::report::{self, Report};
use crate::root::Root;
use crate::status::Status;
use crate::{Error, check, kexec, log};
use serde::Serialize;
use std::fs;
use std::io::{self, Write};

/// The user whom all is allowed.
const SUPERUSER: u32 = 0;

/// Does it, by `runner`, and writes to `out`; returns the exit code.
///
/// # Errors
///
/// [`Error`]: nothing has been changed.
pub fn run(
    arguments: &Arguments,
    runner: &mut impl Runner,
    out: &mut impl Write,
) -> Result<u8, Error> {
    let root = Root::new(&arguments.root);
    if arguments.command.needs_root() {
        check_root(&root)?;
    }
    match arguments.command.clone() {
        Command::Try {
            systemd,
            end_guests,
            options,
            how,
        } => {
            let wishes = Wishes {
                systemd,
                end_guests,
                options,
            };
            let findings = attempt::look(&root, &wishes);
            for finding in &findings {
                say(out, format_args!("{finding}\n"))?;
            }
            if let Some(why) = check::obstacle(&findings) {
                return Err(Error::Refused(why.to_owned()));
            }
            let work = Work {
                plan: attempt::plan(&root, &wishes)?,
                then: "a reset of the machine undoes it".into(),
            };
            carry_out(&root, &work, how, runner, out)
        }
        Command::Install {
            confirm,
            refresh,
            how,
        } => {
            let wish = match (confirm, refresh) {
                (true, _) => Wish::Confirm,
                (_, true) => Wish::Refresh,
                _ => Wish::Once,
            };
            carry_out(&root, &install::install(&root, wish)?, how, runner, out)
        }
        Command::Uninstall { check: true, .. } => match install::installed(&root) {
            Some(place) => say(out, format_args!("{place}\n")).map(|()| 0),
            None => Ok(1),
        },
        Command::Uninstall { how, .. } => {
            carry_out(&root, &install::uninstall(&root)?, how, runner, out)
        }
        Command::Kexec { how } => {
            let work = Work {
                plan: kexec::plan(&root)?,
                then: String::new(),
            };
            carry_out(&root, &work, how, runner, out)
        }
        Command::Status { json } => {
            let status = Status::find(&root)?;
            match json {
                true => say(out, format_args!("{}\n", text(&status)))?,
                false => say(out, format_args!("{status}"))?,
            }
            Ok(status.exit_code())
        }
        Command::Report { json, gantt } => {
            let evidence = Evidence::find(&root)?.ok_or(Error::WithoutBaton)?;
            let times = evidence.times.as_ref();
            if let Some(path) = gantt {
                let times =
                    times.ok_or_else(|| Error::Refused("no reboot yet: nothing to draw".into()))?;
                fs::write(&path, Gantt(times).to_string())
                    .map_err(|error| Error::File { path, error })?;
            } else if json {
                say(out, format_args!("{}\n", text(&times.map(Report::from))))?;
            } else {
                say(out, format_args!("{}", report::text(&evidence)))?;
            }
            Ok(0)
        }
        Command::Log => {
            let log = log::log(&root)?;
            if let Some(why) = log.old {
                eprintln!("baton: the end of the log when this kernel began: {why}");
            }
            say(out, format_args!("{}", log.text)).map(|()| 0)
        }
    }
}

/// Prints what is to be done, or does it.
fn carry_out(
    root: &Root,
    work: &Work,
    how: How,
    runner: &mut impl Runner,
    out: &mut impl Write,
) -> Result<u8, Error> {
    let Work { plan, then } = work;
    let is_done = *plan == Plan::default();
    if how.dry_run {
        match is_done {
            true => say(out, format_args!("nothing is to be done\n"))?,
            false => say(out, format_args!("would do, in this order:\n{plan}"))?,
        }
    } else if !is_done {
        plan.execute(root, runner)?;
    }
    match then.is_empty() {
        true => Ok(0),
        false => say(out, format_args!("{then}\n")).map(|()| 0),
    }
}

/// Fails unless this is root, who alone can do what changes the machine.
fn check_root(root: &Root) -> Result<(), Error> {
    let status = root.text("/proc/self/status").unwrap_or_default();
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    // Real, effective, saved, and of file systems.
    let effective = user.and_then(|user| user.split_whitespace().nth(1)?.parse::<u32>().ok());
    match effective.is_some_and(|user| user != SUPERUSER) {
        true => Err(Error::NotRoot),
        false => Ok(()),
    }
}

fn text(value: &impl Serialize) -> String {
    // What is written has no maps with keys that are no text.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Writes to the output. A reader that has gone, as `head`, is no fault.
fn say(out: &mut impl Write, text: std::fmt::Arguments) -> Result<(), Error> {
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::File {
            path: "/dev/stdout".into(),
            error,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
