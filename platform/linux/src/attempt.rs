// SPDX-License-Identifier: Apache-2.0
//! `baton try`: kexecs Baton with the kernel that runs behind it.

use crate::check::{self, Finding};
use crate::image::{Combined, MONITOR};
use crate::plan::{Plan, Step};
use crate::root::Root;
use crate::{Error, kernels, kexec};
use baton_core::options::{Options, Problem};
use std::path::Path;

/// Bytes of a command line, at most (Linux, `arch/arm64/include/uapi/asm/setup.h`, with the NUL at its end).
const LINE_MAX: usize = 2047;
/// Where the image is written: in memory.
const IMAGE: &str = "/run/baton-try.img";

/// How it is to be done.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Services are stopped first, by `systemctl kexec`.
    pub systemd: bool,
    /// Virtual machines may end.
    pub end_guests: bool,
    /// Options of the monitor.
    pub options: Vec<String>,
}

/// Looks at the machine, and returns what was seen.
pub fn look(root: &Root, wishes: &Wishes) -> Vec<Finding> {
    let mut findings = check::machine(root);
    findings.extend(check::kexec(root, wishes.end_guests));
    findings.push(Finding {
        about: "kernel",
        seen: kernel(root).map(|kernel| kernel.image.display().to_string()),
    });
    findings.push(Finding {
        about: "Baton",
        seen: match root.exists(MONITOR) {
            true => Ok(MONITOR.into()),
            false => Err(format!("there is no {MONITOR}: install the package baton")),
        },
    });
    findings
}

/// Returns what is to be done on a machine on which nothing stands against it.
///
/// # Errors
///
/// [`Error::Refused`] if the kernel that runs is not installed, or an option is none.
pub fn plan(root: &Root, wishes: &Wishes) -> Result<Plan, Error> {
    let kernel = kernel(root).map_err(Error::Refused)?;
    let mut line = kernels::command_line(root)?;
    for option in &wishes.options {
        check_option(option)?;
        line = format!("{line} baton.{option}");
    }
    if line.len() > LINE_MAX {
        return Err(Error::Refused(format!(
            "the command line would have {} bytes, and the kernel takes {LINE_MAX}: leave out an --option",
            line.len()
        )));
    }
    let mut plan = Plan::default();
    plan.push(Step::Combine {
        path: Path::new(IMAGE).into(),
        image: Combined {
            monitor: MONITOR.into(),
            kernel: kernel.image,
        },
    });
    let initrd = kernel.initrd.as_deref();
    kexec::load(&mut plan, Some("-c"), IMAGE, initrd, &line);
    plan.push(Step::Remove(IMAGE.into()));
    match wishes.systemd {
        true => plan.run(&["systemctl", "kexec"], None),
        false => {
            plan.run(&["sync"], None);
            plan.run(&["kexec", "-e"], None);
        }
    }
    Ok(plan)
}

/// Fails unless the monitor has such an option, with such a value.
fn check_option(option: &str) -> Result<(), Error> {
    let expected = match Options::parse(option).1.first() {
        _ if option.is_empty() || option.contains(char::is_whitespace) => "NAME=VALUE",
        None => return Ok(()),
        Some(Problem::Value { expected, .. }) => expected,
        Some(Problem::Unknown(_)) => "NAME=VALUE",
    };
    Err(Error::Refused(format!(
        "--option {option:?}: expected {expected}, as in baton-options(7)"
    )))
}

/// Returns the kernel that runs, as it is installed.
fn kernel(root: &Root) -> Result<kernels::Kernel, String> {
    let version = kernels::running(root).ok_or("/proc/sys/kernel/osrelease cannot be read")?;
    kernels::find(root, &version)
        .ok_or_else(|| format!("the kernel that runs, {version}, is not installed in /boot"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::server;
    use crate::image::tests::image;
    use crate::plan::fake::Programs;
    use crate::root::fake::System;

    fn fit() -> System {
        server()
            .with("/boot/vmlinuz-6.1.0-56-arm64", image(0x2000, 0x5000, 2))
            .with("/boot/initrd.img-6.1.0-56-arm64", "")
            .with(MONITOR, image(0x1000, 0x30_0000, 1))
            .with("/run/utmp", "")
    }

    #[test]
    fn kernel_that_runs_goes_on_with_the_same_command_line() {
        let system = fit();
        let wishes = Wishes::default();
        assert_eq!(check::obstacle(&look(&system.root(), &wishes)), None);
        let plan = plan(&system.root(), &wishes).expect("a plan");
        let mut programs = Programs::default();
        plan.execute(&system.root(), &mut programs).expect("done");
        let expected = [
            "kexec -c -l /run/baton-try.img --initrd=/boot/initrd.img-6.1.0-56-arm64 \
             '--command-line=BOOT_IMAGE=/boot/vmlinuz root=/dev/vda2 quiet'",
            "sync",
            "kexec -e",
        ];
        assert_eq!(programs.calls, expected);
        assert!(
            !system.root().exists(IMAGE),
            "the image is loaded, and takes no memory"
        );
    }

    #[test]
    fn options_are_words_for_the_monitor() {
        let wishes = Wishes {
            systemd: true,
            options: vec!["log=debug".into(), "wait=20".into()],
            ..Wishes::default()
        };
        let text = plan(&fit().root(), &wishes).expect("a plan").to_string();
        assert!(
            text.contains(" quiet baton.log=debug baton.wait=20'\n"),
            "{text}"
        );
        assert!(text.ends_with("  run systemctl kexec\n"), "{text}");
    }

    #[test]
    fn options_that_the_monitor_would_ignore_are_refused() {
        for (option, expected) in [
            ("log", "expected NAME=VALUE"),
            ("", "expected NAME=VALUE"),
            ("no-such=1", "expected NAME=VALUE"),
            ("wait=20 init=/bin/sh", "expected NAME=VALUE"),
            ("wait=0", "expected milliseconds from 1 to 60000"),
            ("log=\n", "expected NAME=VALUE"),
        ] {
            let wishes = Wishes {
                options: vec![option.into()],
                ..Wishes::default()
            };
            let error = plan(&fit().root(), &wishes)
                .expect_err("no option")
                .to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_command_line_that_would_be_cut_off_is_refused() {
        let system = fit();
        let line = |size: usize| system.put("/proc/cmdline", "x".repeat(size));
        let wishes = Wishes {
            options: vec!["wait=20".into()],
            ..Wishes::default()
        };
        // The option has 14 bytes, with a space before it.
        line(2033);
        assert!(plan(&system.root(), &wishes).is_ok());
        line(2034);
        let error = plan(&system.root(), &wishes)
            .expect_err("a byte more")
            .to_string();
        assert!(
            error.contains("2048 bytes, and the kernel takes 2047"),
            "{error}"
        );
    }

    #[test]
    fn nothing_is_left_where_it_fails() {
        let system = fit();
        let before = system.files();
        let plan = plan(&system.root(), &Wishes::default()).expect("a plan");
        let mut programs = Programs {
            fails: Some("-l"),
            ..Programs::default()
        };
        plan.execute(&system.root(), &mut programs)
            .expect_err("it fails");
        assert_eq!(system.files(), before);
    }

    #[test]
    fn says_what_is_missing() {
        for (path, expected) in [
            (MONITOR, "install the package baton"),
            (
                "/boot/vmlinuz-6.1.0-56-arm64",
                "6.1.0-56-arm64, is not installed in /boot",
            ),
        ] {
            let system = fit();
            std::fs::remove_file(system.root().path(path)).expect("it was there");
            let findings = look(&system.root(), &Wishes::default());
            let seen = check::obstacle(&findings).unwrap_or("none");
            assert!(
                seen.contains(expected),
                "expected {expected:?}, seen {seen:?}"
            );
        }
    }
}
