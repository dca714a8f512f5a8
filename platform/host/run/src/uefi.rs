// SPDX-License-Identifier: Apache-2.0
//! UEFI firmware at EL2, which starts the monitor, or without one the kernel by its EFI stub.
//!
//! Firmware has the machine's ACPI tables from QEMU and hands on no device tree. All that it reads is
//! made anew for each run: an EFI system partition, and its variables with an entry to boot.

mod load_option;
mod partition;
mod variables;

use crate::machine::{Guest, Machine, escape};
use crate::{Error, paths};
use load_option::LoadOption;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use variables::Variables;

/// Where the monitor is on the partition, and its configuration beside it.
const MONITOR: &str = r"\EFI\BATON\BATON.EFI";
const CONFIGURATION: &str = r"\EFI\BATON\baton.conf";
/// Where the guest is.
const KERNEL: &str = r"\linux\Image";
const INITRD: &str = r"\linux\initrd";

/// A machine that firmware starts, and where its files are.
#[derive(Clone, Debug)]
pub struct Uefi {
    /// The firmware's code, as it is in the first flash.
    pub firmware: PathBuf,
    /// The directory in which the run's files are written.
    pub files: PathBuf,
}

impl Uefi {
    /// The firmware that the environment names, with the run's files in the directory `files`.
    pub fn new(files: PathBuf) -> Self {
        Self {
            firmware: paths::edk2(),
            files,
        }
    }

    /// Writes the run's files, and returns QEMU's arguments for them.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is not there or cannot be written, [`Error::Program`] if the
    /// partition cannot be made.
    pub(crate) fn arguments(&self, machine: &Machine, guest: &Guest) -> Result<Vec<String>, Error> {
        let arguments = command_line(guest);
        let (file, options) = match &machine.monitor {
            Some(_) => (MONITOR, ""),
            None => (KERNEL, arguments.as_str()),
        };
        let disk = self.files.join("esp.img");
        self.write_disk(machine, guest, &arguments, &disk)?;
        let entry = LoadOption {
            name: "Baton",
            partition: partition::first(&disk)?,
            file,
            options,
        };
        let mut variables = Variables::default();
        variables.start_at_once();
        variables.boot(&[entry.to_bytes()]);
        let flash = self.files.join("vars.fd");
        variables.write(&flash)?;
        let [firmware, flash, disk] =
            [&self.firmware, &flash, &disk].map(|path| escape(&path.to_string_lossy()));
        Ok([
            "-bios",
            &firmware,
            "-drive",
            &format!("if=pflash,format=raw,unit=1,file={flash}"),
            "-drive",
            &format!("if=none,id=esp,format=raw,readonly=on,file={disk}"),
            "-device",
            "virtio-blk-pci,drive=esp,serial=esp,iommu_platform=off,romfile=",
        ]
        .map(str::to_owned)
        .into())
    }

    /// Makes a disk with an EFI system partition that has the guest, and the monitor if there is one.
    fn write_disk(
        &self,
        machine: &Machine,
        guest: &Guest,
        arguments: &str,
        disk: &Path,
    ) -> Result<(), Error> {
        let folder = self.files.join("esp");
        let on_partition = |name: &str| folder.join(name[1..].replace('\\', "/"));
        copy(&guest.kernel, &on_partition(KERNEL))?;
        if let Some(initrd) = &guest.initrd {
            copy(initrd, &on_partition(INITRD))?;
        }
        if machine.monitor.is_some() {
            copy(&paths::monitor_efi(), &on_partition(MONITOR))?;
            let text = format!("next={KERNEL} {arguments}\n{}\n", machine.baton);
            let file = on_partition(CONFIGURATION);
            fs::write(&file, text).map_err(|error| Error::File { path: file, error })?;
        }
        run(Command::new(paths::disk_script()).args([disk, &folder]))?;
        fs::remove_dir_all(&folder).map_err(|error| Error::File {
            path: folder,
            error,
        })
    }
}

/// What the kernel's EFI stub is given: the guest's command line, and where its initrd is.
fn command_line(guest: &Guest) -> String {
    match guest.initrd {
        Some(_) => format!("initrd={INITRD} {}", guest.append),
        None => guest.append.clone(),
    }
}

/// Copies a file, and makes the directory for it.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let made = to.parent().map_or(Ok(()), fs::create_dir_all);
    made.map_err(|error| Error::File {
        path: to.to_owned(),
        error,
    })?;
    fs::copy(from, to).map_err(|error| Error::File {
        path: from.to_owned(),
        error,
    })?;
    Ok(())
}

/// Runs a script to its end.
fn run(command: &mut Command) -> Result<(), Error> {
    let status = command.status().and_then(|status| match status.success() {
        true => Ok(()),
        false => Err(std::io::Error::other(format!("it ended with {status}"))),
    });
    status.map_err(|error| Error::Program {
        program: command.get_program().to_string_lossy().into_owned(),
        error,
    })
}
