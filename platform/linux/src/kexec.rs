// SPDX-License-Identifier: Apache-2.0
//! `baton kexec`: the newest installed kernel, with its initrd and this command line.

use crate::plan::Plan;
use crate::root::Root;
use crate::{Error, check, kernels};
use std::path::Path;

/// Returns what is to be done.
///
/// # Errors
///
/// [`Error::Refused`] if the kernel does not allow it, or none is installed.
pub fn plan(root: &Root) -> Result<Plan, Error> {
    check::kexec_allowed(root).map_err(Error::Refused)?;
    let kernel = kernels::newest(root).ok_or_else(|| {
        Error::Refused("no kernel is installed in /boot or /usr/lib/modules".into())
    })?;
    let mut plan = Plan::default();
    load(
        &mut plan,
        check::lockdown(root).map(|_| "-s"),
        &kernel.image.to_string_lossy(),
        kernel.initrd.as_deref(),
        &kernels::command_line(root)?,
    );
    plan.run(&["systemctl", "kexec"], None);
    Ok(plan)
}

/// Adds the step that loads a kernel; `how` is kexec's option of the system call that does it. A kernel that is
/// locked down takes signed ones by kexec_file_load (`-s`) alone.
pub fn load(plan: &mut Plan, how: Option<&str>, image: &str, initrd: Option<&Path>, line: &str) {
    let initrd = initrd.map(|path| format!("--initrd={}", path.to_string_lossy()));
    let line = format!("--command-line={line}");
    let mut command = vec!["kexec"];
    command.extend(how);
    command.extend(["-l", image]);
    command.extend(initrd.as_deref());
    command.push(&line);
    plan.run(&command, Some(&["kexec", "-u"]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::server;

    #[test]
    fn newest_kernel_is_loaded_as_this_one() {
        let system = server()
            .with("/boot/vmlinuz-6.1.0-56-arm64", "")
            .with("/boot/vmlinuz-6.12.1-arm64", "")
            .with("/boot/initrd.img-6.12.1-arm64", "");
        let plan = plan(&system.root()).expect("a plan").to_string();
        let expected = "  run kexec -l /boot/vmlinuz-6.12.1-arm64 --initrd=/boot/initrd.img-6.12.1-arm64 \
                        '--command-line=BOOT_IMAGE=/boot/vmlinuz root=/dev/vda2 quiet'\n  \
                        run systemctl kexec\n";
        assert_eq!(plan, expected);
    }

    #[test]
    fn a_kernel_that_is_locked_down_gets_a_signed_one() {
        let system = server().with("/boot/vmlinuz-6.12.1-arm64", "");
        system.put(
            "/sys/kernel/security/lockdown",
            "none [integrity] confidentiality",
        );
        let plan = plan(&system.root()).expect("a plan").to_string();
        assert!(
            plan.starts_with("  run kexec -s -l /boot/vmlinuz-6.12.1-arm64 '--command-line="),
            "{plan}"
        );
    }

    #[test]
    fn says_why_not() {
        let error = plan(&server().root()).expect_err("no kernel").to_string();
        assert_eq!(error, "no kernel is installed in /boot or /usr/lib/modules");
        let system = server().with("/boot/vmlinuz-6.12.1-arm64", "");
        std::fs::remove_file(system.root().path("/sys/kernel/kexec_loaded")).expect("it was there");
        let error = plan(&system.root()).expect_err("no kexec").to_string();
        assert_eq!(
            error,
            "this kernel was built without kexec: boot one with CONFIG_KEXEC"
        );
    }

    #[test]
    fn without_a_command_line_no_kernel_is_loaded() {
        let system = server().with("/boot/vmlinuz-6.12.1-arm64", "");
        std::fs::remove_file(system.root().path("/proc/cmdline")).expect("it was there");
        let error = plan(&system.root()).expect_err("no /proc").to_string();
        assert!(error.starts_with("/proc/cmdline cannot be read"), "{error}");
    }
}
