// SPDX-License-Identifier: Apache-2.0
//! `make run-card`: U-Boot starts the monitor from a card, Linux boots, kexecs, and all is checked.

use crate::{limits, text, variable};
use baton_qemu::console::{self, Line};
use baton_qemu::{Disk, Machine, kexec, linux, paths, report};
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

/// Runs the card in `file`, which must have a guest that kexecs once; a folder is served by TFTP.
pub fn card(file: &Path) -> Result<(), String> {
    let mut machine = Machine::from_env(4).map_err(text)?;
    machine.el3 = variable("EL3").as_deref() == Some("on");
    if file.is_dir() {
        machine.serve(file);
    } else {
        machine.disks.push(Disk {
            file: file.to_owned(),
            serial: "card",
            writable: false,
        });
    }
    let firmware = variable("FIRMWARE").map_or_else(paths::u_boot, PathBuf::from);
    println!(
        "  starting {} from {} on {} vCPUs",
        firmware.display(),
        file.display(),
        machine.smp
    );
    let command = machine.command_with_firmware(&firmware).map_err(text)?;
    let console = console::watch(command, limits(900)?, |line| {
        !worth_showing(line)
            || writeln!(stdout(), "  {:7.2} s  {}", line.at.as_secs_f64(), line.text).is_ok()
    })
    .map_err(text)?;
    linux::check(&console, 1, machine.smp)
        .and_then(|()| report::check_takeovers(&console, 1))
        .map_err(|reason| format!("{reason}\n{}", console.tail(60)))?;
    println!("The second kernel has {0} of {0} CPUs online.", machine.smp);
    Ok(())
}

/// Whether a line says how far the machine is.
fn worth_showing(line: &Line) -> bool {
    let text = line.text.as_str();
    [
        "NOTICE:  BL",
        "U-Boot 20",
        "Found ",
        "## ",
        "Starting kernel",
        "baton: ",
        "guest: gen",
        kexec::STARTING,
        kexec::BYE,
        "Kernel panic",
    ]
    .iter()
    .any(|pattern| text.contains(pattern))
}
