// SPDX-License-Identifier: Apache-2.0
//! What is to be done, before it is done.
//!
//! A plan is printed, or executed from its first step to its last. Where a step fails, those before it are
//! taken back: nothing is left half done.

use crate::Error;
use crate::image::Combined;
use crate::root::Root;
use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One step. Paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a folder, whose parent is there.
    MakeFolder(PathBuf),
    /// Write a file, in place of one that may be there.
    Write {
        /// Where.
        path: PathBuf,
        /// What.
        content: Vec<u8>,
    },
    /// Write an image of the monitor with a kernel behind it.
    Combine {
        /// Where.
        path: PathBuf,
        /// Of what.
        image: Combined,
    },
    /// Remove a file.
    Remove(PathBuf),
    /// Remove a folder, if nothing else is in it.
    RemoveFolder(PathBuf),
    /// Run a program.
    Run {
        /// Its name and arguments.
        command: Vec<String>,
        /// What takes it back, if that can be done.
        undo: Option<Vec<String>>,
    },
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub steps: Vec<Step>,
}

/// What starts programs.
pub trait Runner {
    /// Runs a program, and returns when it has ended.
    ///
    /// # Errors
    ///
    /// What it says, if it failed.
    fn run(&mut self, command: &[String]) -> Result<(), String>;
}

/// Programs of this system.
#[derive(Clone, Copy, Debug)]
pub struct Programs;

impl Runner for Programs {
    fn run(&mut self, command: &[String]) -> Result<(), String> {
        let [program, arguments @ ..] = command else {
            return Err("no program".into());
        };
        let output = Command::new(program)
            .args(arguments)
            // Some are where a user's shell does not look.
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => "it is not installed".into(),
                _ => error.to_string(),
            })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().lines().last().unwrap_or_default().to_owned();
        Err(if said.is_empty() {
            output.status.to_string()
        } else {
            said
        })
    }
}

/// A step that was done, and what was there before.
enum Done {
    Made(PathBuf),
    Wrote(PathBuf, Option<Vec<u8>>),
    RemovedFolder(PathBuf),
    Ran(Vec<String>),
    ForGood,
}

impl Plan {
    /// Adds a step.
    pub fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Adds a program, and what takes it back.
    pub fn run(&mut self, command: &[&str], undo: Option<&[&str]>) {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        self.push(Step::Run {
            command: words(command),
            undo: undo.map(words),
        });
    }

    /// Does all of it.
    ///
    /// # Errors
    ///
    /// [`Error::File`] or [`Error::Command`] for the step that failed; those before it have been taken back.
    pub fn execute(&self, root: &Root, runner: &mut impl Runner) -> Result<(), Error> {
        let mut done = Vec::new();
        for step in &self.steps {
            match step.execute(root, runner) {
                Ok(what) => done.push(what),
                Err(error) => {
                    for what in done.into_iter().rev() {
                        // The error that is told is the first one.
                        let _ = what.take_back(root, runner);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl Step {
    fn execute(&self, root: &Root, runner: &mut impl Runner) -> Result<Done, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| Error::File { path, error }
        };
        match self {
            Self::MakeFolder(path) => {
                fs::create_dir(root.path(path)).map_err(failed(path))?;
                Ok(Done::Made(path.clone()))
            }
            Self::Write { path, content } => replace(root, path, content),
            Self::Combine { path, image } => replace(root, path, &image.bytes(root)?),
            Self::Remove(path) => {
                let before = root.needed(path)?;
                fs::remove_file(root.path(path)).map_err(failed(path))?;
                Ok(Done::Wrote(path.clone(), Some(before)))
            }
            Self::RemoveFolder(path) => match fs::remove_dir(root.path(path)) {
                Ok(()) => Ok(Done::RemovedFolder(path.clone())),
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(Done::ForGood),
                Err(error) => Err(failed(path)(error)),
            },
            Self::Run { command, undo } => {
                runner.run(command).map_err(|reason| Error::Command {
                    command: shown(command),
                    reason,
                })?;
                Ok(undo.clone().map_or(Done::ForGood, Done::Ran))
            }
        }
    }
}

/// Writes a file so that it is whole at any time: beside it first, and then in its place.
fn replace(root: &Root, path: &Path, content: &[u8]) -> Result<Done, Error> {
    let place = root.path(path);
    let before = match root.exists(path) {
        // What cannot be read could not be put back.
        true => Some(root.needed(path)?),
        false => None,
    };
    let mut beside = place.clone().into_os_string();
    beside.push(".new");
    let written = File::create(&beside)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, &place));
    written.map_err(|error| {
        // A partition that is full keeps no half of it.
        let _ = fs::remove_file(&beside);
        Error::File {
            path: path.to_owned(),
            error,
        }
    })?;
    Ok(Done::Wrote(path.to_owned(), before))
}

impl Done {
    fn take_back(self, root: &Root, runner: &mut impl Runner) -> Result<(), Error> {
        let failed = |path: PathBuf| move |error| Error::File { path, error };
        match self {
            Self::Made(path) => fs::remove_dir(root.path(&path)).map_err(failed(path)),
            Self::RemovedFolder(path) => fs::create_dir(root.path(&path)).map_err(failed(path)),
            Self::Wrote(path, Some(before)) => replace(root, &path, &before).map(|_| ()),
            Self::Wrote(path, None) => fs::remove_file(root.path(&path)).map_err(failed(path)),
            Self::Ran(undo) => runner.run(&undo).map_err(|reason| Error::Command {
                command: shown(&undo),
                reason,
            }),
            Self::ForGood => Ok(()),
        }
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Self::MakeFolder(path) => write!(f, "make the folder {}", path.display()),
            Self::Write { path, content } => match str::from_utf8(content) {
                Ok(text) if text.len() < 4096 => {
                    write!(f, "write {}:", path.display())?;
                    text.lines()
                        .try_for_each(|line| write!(f, "\n      {line}"))
                }
                _ => write!(
                    f,
                    "write {} ({} KiB)",
                    path.display(),
                    content.len().div_ceil(1024)
                ),
            },
            Self::Combine { path, image } => write!(f, "write {}: {image}", path.display()),
            Self::Remove(path) => write!(f, "remove {}", path.display()),
            Self::RemoveFolder(path) => {
                write!(f, "remove the folder {}, if it is empty", path.display())
            }
            Self::Run { command, .. } => write!(f, "run {}", shown(command)),
        }
    }
}

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        self.steps
            .iter()
            .try_for_each(|step| writeln!(f, "  {step}"))
    }
}

/// Returns a command as a shell takes it.
pub fn shown(command: &[String]) -> String {
    let plain = |word: &str| {
        let is_plain =
            |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,+@".contains(letter);
        !word.is_empty() && word.chars().all(is_plain)
    };
    let words = command.iter().map(|word| match plain(word) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
pub(crate) mod fake {
    use super::Runner;

    /// Programs that only write down how they are called; the one that has `fails` in it fails.
    #[derive(Default)]
    pub struct Programs {
        /// The calls so far.
        pub calls: Vec<String>,
        /// What a call that fails has in it.
        pub fails: Option<&'static str>,
    }

    impl Runner for Programs {
        fn run(&mut self, command: &[String]) -> Result<(), String> {
            let call = super::shown(command);
            self.calls.push(call.clone());
            match self.fails {
                Some(what) if call.contains(what) => Err("as the test has it".into()),
                _ => Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fake::Programs;
    use super::*;
    use crate::root::fake::System;

    fn plan() -> Plan {
        let mut plan = Plan::default();
        plan.push(Step::MakeFolder("/esp/baton".into()));
        plan.push(Step::Write {
            path: "/esp/baton/new".into(),
            content: b"new\n".to_vec(),
        });
        plan.push(Step::Write {
            path: "/esp/old".into(),
            content: b"changed\n".to_vec(),
        });
        plan.push(Step::Remove("/esp/gone".into()));
        plan.run(&["first", "a b"], Some(&["back"]));
        plan.run(&["second"], None);
        plan
    }

    fn system() -> System {
        System::new()
            .with("/esp/old", "old\n")
            .with("/esp/gone", "gone\n")
    }

    #[test]
    fn is_done_in_order() {
        let system = system();
        let mut programs = Programs::default();
        plan().execute(&system.root(), &mut programs).expect("done");
        assert_eq!(programs.calls, ["first 'a b'", "second"]);
        let text = |path| system.root().text(path);
        assert_eq!(text("/esp/baton/new").as_deref(), Some("new"));
        assert_eq!(text("/esp/old").as_deref(), Some("changed"));
        assert_eq!(text("/esp/gone"), None);
    }

    #[test]
    fn a_step_that_fails_takes_those_before_it_back() {
        for (fails, calls) in [
            ("first", &["first 'a b'"][..]),
            ("second", &["first 'a b'", "second", "back"]),
        ] {
            let system = system();
            let before = system.files();
            let mut programs = Programs {
                fails: Some(fails),
                ..Programs::default()
            };
            let error = plan()
                .execute(&system.root(), &mut programs)
                .expect_err("it fails");
            assert!(
                error.to_string().ends_with("failed: as the test has it"),
                "{error}"
            );
            assert_eq!(programs.calls, calls);
            assert_eq!(system.files(), before, "{fails} fails");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named_and_leaves_nothing() {
        let system = system();
        let before = system.files();
        let mut plan = plan();
        plan.steps.insert(
            3,
            Step::Write {
                path: "/nowhere/file".into(),
                content: vec![1],
            },
        );
        let error = plan
            .execute(&system.root(), &mut Programs::default())
            .expect_err("no folder");
        assert!(error.to_string().starts_with("/nowhere/file: "), "{error}");
        assert_eq!(system.files(), before);
    }

    #[test]
    fn what_cannot_be_put_back_is_not_overwritten() {
        // A link to a folder is replaced like a file, and is not read like one.
        let system = System::new()
            .with("/esp/folder/file", "")
            .with_link("/esp/old", "folder");
        let before = system.files();
        let mut plan = Plan::default();
        plan.push(Step::Write {
            path: "/esp/old".into(),
            content: vec![1],
        });
        let error = plan.execute(&system.root(), &mut Programs::default());
        let error = error.expect_err("a folder").to_string();
        assert!(error.starts_with("/esp/old: Is a directory"), "{error}");
        assert_eq!(system.files(), before);
    }

    #[test]
    fn is_printed_as_a_shell_takes_it() {
        let text = plan().to_string();
        assert!(text.contains("  make the folder /esp/baton\n"), "{text}");
        assert!(text.contains("  run first 'a b'\n"), "{text}");
        assert!(
            text.contains("  write /esp/baton/new:\n      new\n"),
            "{text}"
        );
    }
}
