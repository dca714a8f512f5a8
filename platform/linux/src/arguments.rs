// SPDX-License-Identifier: Apache-2.0
//! The command line.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Baton carries this machine from one kernel to the next in milliseconds.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "baton",
    version,
    after_help = "baton(8) says more of each; baton-options(7) has the options of the monitor."
)]
pub struct Arguments {
    /// What is taken for `/`
    #[arg(long, hide = true, default_value = "/")]
    pub root: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Kexec Baton with the kernel that runs; a reset undoes it
    Try {
        /// Stop services first, by systemctl kexec
        #[arg(long)]
        systemd: bool,
        /// Virtual machines may end
        #[arg(long)]
        end_guests: bool,
        /// An option of the monitor (may be repeated)
        #[arg(long = "option", short = 'o', value_name = "NAME=VALUE")]
        options: Vec<String>,
        /// Whether it is done.
        #[command(flatten)]
        how: How,
    },
    /// Have Baton start at the next boot, once
    Install {
        /// This boot under Baton was good: have it start at each
        #[arg(long)]
        confirm: bool,
        /// Make anew what was installed, for another kernel
        #[arg(long, hide = true, conflicts_with = "confirm")]
        refresh: bool,
        /// Whether it is done.
        #[command(flatten)]
        how: How,
    },
    /// Have the machine start as before
    Uninstall {
        /// Say where Baton is installed, and end with 0 if it is
        #[arg(long, hide = true)]
        check: bool,
        /// Whether it is done.
        #[command(flatten)]
        how: How,
    },
    /// Reboot into the newest installed kernel, with this command line
    Kexec {
        /// Whether it is done.
        #[command(flatten)]
        how: How,
    },
    /// Whether the kernel runs under Baton: ends with 0 if the next kexec is Baton's, 1 if not, 2 without Baton
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The last reboot
    Report {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Draw it into a file
        #[arg(long, value_name = "FILE.svg")]
        gantt: Option<PathBuf>,
    },
    /// What the monitor said
    Log,
}

impl Command {
    /// Returns whether root alone can do it: it changes the machine, or decides by what nobody else may read,
    /// as ACPI's tables and the EFI system partition.
    pub fn needs_root(&self) -> bool {
        match self {
            Self::Uninstall { check, .. } => !check,
            Self::Try { .. } | Self::Install { .. } => true,
            Self::Kexec { how } => !how.dry_run,
            Self::Status { .. } | Self::Report { .. } | Self::Log => false,
        }
    }
}

/// Whether it is done.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct How {
    /// Print what would be done, and do nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_core::options::{Options, Problem};
    use clap::CommandFactory;

    /// The manual pages, as they are read.
    fn page(source: &str) -> String {
        let plain = source.replace("\\-", "-").replace("\\fB", "");
        plain.replace("\\fR", "").replace("\\fI", "")
    }

    #[test]
    fn manual_has_all_commands_and_options() {
        Arguments::command().debug_assert();
        let manual = page(include_str!("../man/baton.8"));
        for command in Arguments::command().get_subcommands() {
            let name = command.get_name();
            assert!(manual.contains(&format!("baton {name}")), "baton {name}");
            let shown = command
                .get_arguments()
                .filter(|option| !option.is_hide_set());
            for long in shown.filter_map(|option| option.get_long()) {
                assert!(
                    manual.contains(&format!("--{long}")),
                    "baton {name} --{long}"
                );
            }
        }
    }

    #[test]
    fn manual_of_options_has_those_that_the_monitor_knows() {
        let manual = page(include_str!("../man/baton-options.7"));
        let lines = manual.lines().filter_map(|line| line.strip_prefix(".BR "));
        let names: Vec<&str> = lines
            .filter_map(|line| Some(line.split_once("= ")?.0))
            .collect();
        for name in &names {
            let word = format!("{name}=?");
            let (_, problems) = Options::parse(&word);
            let known = problems
                .iter()
                .all(|problem| !matches!(problem, Problem::Unknown(_)));
            assert!(known, "{name}=");
        }
        let documented = include_str!("../../../docs/usage.md");
        let rows = documented
            .lines()
            .filter_map(|line| line.strip_prefix("| `"));
        for row in rows.filter_map(|line| Some(line.split_once(['`', ',', ' '])?.0)) {
            if let Some((name, _)) = row.split_once('=')
                && Options::parse(&format!("{name}=?")).1
                    != [Problem::Unknown(&format!("{name}=?"))]
            {
                assert!(names.contains(&name), "{name}= is in docs/usage.md alone");
            }
        }
    }
}
