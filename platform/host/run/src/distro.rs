// SPDX-License-Identifier: Apache-2.0
//! `make distro`: a Debian on a disk, and `systemctl kexec` in it. A server's way comes first: firmware starts the
//! monitor, and that what is installed. Else the monitor starts firmware as its guest. Or a disk of the user's.

use crate::{limits, text};
use baton_qemu::console::{self, plain};
use baton_qemu::{Disk, Firmware, Machine, Uefi, kexec, linux, paths, report, script_disk};
use std::fs;
use std::io::{Write, stdout};
use std::path::Path;

/// What the Debian does, by the service that `distro.sh` adds.
const SCRIPT: &str = "try-kexec";

/// The name of a server's way, beside those of firmware as the guest.
const SERVER: &str = "uefi";

/// Starts the disk in `file`, which `distro.sh` made, in a way ([`SERVER`], or a firmware's name), and checks that
/// its kernel kexecs.
pub fn distro(way: &str, file: &Path) -> Result<(), String> {
    let mut machine = Machine::from_env(4).map_err(text)?;
    machine.uefi = match way {
        SERVER => Some(Uefi::from_env().map_err(text)?),
        _ => None,
    };
    // What the system writes is gone afterwards.
    machine.extra.push("-snapshot".into());
    let disk = Disk {
        file: file.to_owned(),
        serial: "debian",
        writable: true,
    };
    let script = paths::guest_script(SCRIPT);
    let archive = scratch()?.join(format!("{SCRIPT}.tar"));
    machine
        .disks
        .push(script_disk(&archive, &script, &[]).map_err(text)?);
    let (smp, file) = (machine.smp, file.display());
    let command = match machine.uefi.clone() {
        Some(uefi) => {
            let first = match &machine.monitor {
                Some(_) => ", the monitor first",
                None => "",
            };
            println!("  UEFI on {smp} vCPUs{first}, then shim and GRUB of the Debian in {file}");
            machine.command_with_installed(&uefi, disk)
        }
        None => {
            println!("  {way} as the guest on {smp} vCPUs, and the Debian in {file}");
            // U-Boot looks at the first one alone.
            machine.disks.insert(0, disk);
            let firmware = Firmware::named(way).map_err(text)?;
            machine.command_with_guest_firmware(firmware, &scratch()?)
        }
    };
    let command = command.map_err(text)?;
    let mut in_report = false;
    let console = console::watch(command, limits(1200)?, |line| {
        let text = plain(&line.text);
        in_report |= text.contains("baton: report: begin");
        let shown = !in_report && worth_showing(&text);
        !shown || writeln!(stdout(), "  {:7.2} s  {text}", line.at.as_secs_f64()).is_ok()
    })
    .map_err(text)?;
    let checked = linux::check(&console, 1, machine.smp).and_then(|()| {
        report::check_takeovers(&console, usize::from(machine.monitor.is_some()))?;
        match console.all("guest: failed units: 0").count() {
            2 => Ok(()),
            seen => Err(format!(
                "expected 2 generations without a failed unit, seen {seen}"
            )),
        }
    });
    checked.map_err(|reason| format!("{reason}\n{}", console.tail(60)))?;
    println!();
    for row in report::lines(&console).iter().flatten() {
        println!("{row}");
    }
    println!();
    println!("The second kernel has {0} of {0} CPUs online.", machine.smp);
    Ok(())
}

/// Starts the disk in `file` by `firmware`, its console on the terminal.
pub fn installed(firmware: &str, file: &Path) -> Result<(), String> {
    let mut machine = Machine::from_env(4).map_err(text)?;
    machine.says_power_off = false;
    let format = match file.extension() {
        Some(extension) if extension == "qcow2" => "qcow2",
        _ => "raw",
    };
    let name = file.to_string_lossy().replace(',', ",,");
    machine.extra.extend(
        [
            "-snapshot",
            "-drive",
            &format!("if=none,id=disk,format={format},file={name}"),
            "-device",
            "virtio-blk-pci,drive=disk",
        ]
        .map(str::to_owned),
    );
    let firmware = Firmware::named(firmware).map_err(text)?;
    let mut command = machine
        .command_with_guest_firmware(firmware, &scratch()?)
        .map_err(text)?;
    eprintln!(
        "What is written to the disk is gone afterwards. Leave with `poweroff', or with C-a x."
    );
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("QEMU ended with {status}")),
        Err(error) => Err(format!("cannot run {}: {error}", machine.qemu)),
    }
}

/// Where a file for QEMU may be written.
fn scratch() -> Result<std::path::PathBuf, String> {
    let path = paths::target().join("guest");
    fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// Whether a line says how far the machine is.
fn worth_showing(text: &str) -> bool {
    [
        "baton: ",
        "guest: ",
        "U-Boot 20",
        "UEFI firmware",
        "BdsDxe: starting",
        "Found EFI",
        "Welcome to",
        "EFI stub: Booting",
        "Linux version",
        "smp: Brought up",
        "Reached target multi-user",
        "Reached target kexec",
        kexec::STARTING,
        kexec::BYE,
        "Kernel panic",
    ]
    .iter()
    .any(|pattern| text.contains(pattern))
}
