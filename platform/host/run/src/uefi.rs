// SPDX-License-Identifier: Apache-2.0
//! UEFI firmware at EL2, which starts the monitor, or without one the kernel by its EFI stub.
//!
//! Firmware has the machine's ACPI tables from QEMU and hands on no device tree. All that it reads is
//! made anew for each run: an EFI system partition, and its variables with an entry to boot.

mod load_option;
mod partition;
mod variables;

use crate::machine::{Guest, Machine, escape};
use crate::pe::{self, Subsystem};
use crate::{Error, paths};
use load_option::LoadOption;
use partition::Partition;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};
use variables::Variables;

/// Where the monitor is on the partition, and its configuration beside it.
const MONITOR: &str = r"\EFI\BATON\BATON.EFI";
const CONFIGURATION: &str = r"\EFI\BATON\baton.conf";
/// The same where firmware looks for itself (UEFI 2.10, 3.5.1.1).
const REMOVABLE: (&str, &str) = (r"\EFI\BOOT\BOOTAA64.EFI", r"\EFI\BOOT\baton.conf");
/// Where the guest is.
const KERNEL: &str = r"\linux\Image";
const INITRD: &str = r"\linux\initrd";

/// How firmware comes by the monitor, and the monitor by its next loader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// An entry to boot; `baton.conf` beside the image names the next loader.
    #[default]
    Configuration,
    /// An entry to boot, whose load options have all that `baton.conf` has elsewhere, on one line.
    LoadOptions,
    /// A driver's entry, and an entry to boot that is the kernel.
    Driver,
    /// No entry: it is where firmware looks on any disk.
    Removable,
}

impl Way {
    /// The way called `name` (`WAY=`).
    ///
    /// # Errors
    /// [`Error::Variable`] if there is none.
    pub fn named(name: &str) -> Result<Self, Error> {
        match name {
            "conf" => Ok(Self::Configuration),
            "options" => Ok(Self::LoadOptions),
            "driver" => Ok(Self::Driver),
            "removable" => Ok(Self::Removable),
            other => Err(Error::Variable {
                name: "WAY",
                value: other.to_owned(),
                expected: "conf, options, driver or removable",
            }),
        }
    }
}

/// A machine that firmware starts, and where its files are.
#[derive(Clone, Debug)]
pub struct Uefi {
    /// The firmware's code, as it is in the first flash.
    pub firmware: PathBuf,
    /// The directory in which the run's files are written.
    pub files: PathBuf,
    /// How the monitor is started; of no effect without one.
    pub way: Way,
}

impl Uefi {
    /// The firmware that the environment names, with the run's files in the directory `files`.
    pub fn new(files: PathBuf) -> Self {
        Self {
            firmware: paths::edk2(),
            files,
            way: Way::default(),
        }
    }

    /// Writes the run's files, and returns QEMU's arguments for them.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is not there or cannot be written, [`Error::Program`] if the
    /// partition cannot be made.
    pub(crate) fn arguments(&self, machine: &Machine, guest: &Guest) -> Result<Vec<String>, Error> {
        let disk = self.files.join("esp.img");
        self.write_disk(machine, guest, &disk)?;
        let flash = self.files.join("vars.fd");
        self.variables(machine, guest, partition::first(&disk)?)
            .write(&flash)?;
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

    /// What firmware shall start from `partition`.
    fn variables(&self, machine: &Machine, guest: &Guest, partition: Partition) -> Variables {
        let entry = |name, file, options: &str| {
            let option = LoadOption {
                name,
                partition,
                file,
                options,
            };
            [option.to_bytes()]
        };
        let kernel = || entry("Linux", KERNEL, &arguments(guest));
        let mut variables = Variables::default();
        variables.start_at_once();
        match self.way {
            _ if machine.monitor.is_none() => variables.boot(&kernel()),
            Way::Configuration => variables.boot(&entry("Baton", MONITOR, "")),
            Way::LoadOptions => {
                let options = format!("{} {}", machine.baton, next(guest));
                variables.boot(&entry("Baton", MONITOR, options.trim_start()));
            }
            Way::Driver => {
                variables.drivers(&entry("Baton", MONITOR, ""));
                variables.boot(&kernel());
            }
            Way::Removable => {}
        }
        variables
    }

    /// Makes a disk with an EFI system partition that has the guest, and the monitor if there is one.
    fn write_disk(&self, machine: &Machine, guest: &Guest, disk: &Path) -> Result<(), Error> {
        let mut files = vec![(KERNEL, read(&guest.kernel)?)];
        if let Some(initrd) = &guest.initrd {
            files.push((INITRD, read(initrd)?));
        }
        if let Some(image) = &machine.monitor {
            files.extend(self.monitor(image, &machine.baton, guest)?);
        }
        let folder = self.files.join("esp");
        for (name, bytes) in files {
            let file = folder.join(name[1..].replace('\\', "/"));
            let made = file.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| fs::write(&file, bytes))
                .map_err(|error| Error::File { path: file, error })?;
        }
        run(Command::new(paths::disk_script()).args([disk, &folder]))?;
        fs::remove_dir_all(&folder).map_err(|error| Error::File {
            path: folder,
            error,
        })
    }

    /// The monitor's files: `image`, and beside it what it is told, with `options` for itself.
    fn monitor(
        &self,
        image: &Path,
        options: &str,
        guest: &Guest,
    ) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
        let mut bytes = read(image)?;
        let configuration = match self.way {
            Way::LoadOptions => return Ok(vec![(MONITOR, bytes)]),
            Way::Driver => format!("{options}\n"),
            Way::Configuration | Way::Removable => format!("{}\n{options}\n", next(guest)),
        };
        if self.way == Way::Driver {
            pe::set_subsystem(&mut bytes, Subsystem::BootServiceDriver).map_err(|reason| {
                Error::File {
                    path: image.to_owned(),
                    error: io::Error::other(reason),
                }
            })?;
        }
        let names = match self.way {
            Way::Removable => REMOVABLE,
            _ => (MONITOR, CONFIGURATION),
        };
        Ok(vec![(names.0, bytes), (names.1, configuration.into())])
    }
}

/// The word by which the monitor is told what to start, and with what; nothing may follow on its line.
fn next(guest: &Guest) -> String {
    format!("next={KERNEL} {}", arguments(guest))
}

/// What the kernel's EFI stub is given: the guest's command line, and where its initrd is.
fn arguments(guest: &Guest) -> String {
    match guest.initrd {
        Some(_) => format!("initrd={INITRD} {}", guest.append),
        None => guest.append.clone(),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|error| Error::File {
        path: file.to_owned(),
        error,
    })
}

/// Runs a script to its end.
fn run(command: &mut Command) -> Result<(), Error> {
    let status = command.status().and_then(|status| match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("it ended with {status}"))),
    });
    status.map_err(|error| Error::Program {
        program: command.get_program().to_string_lossy().into_owned(),
        error,
    })
}
