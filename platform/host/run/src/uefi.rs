// SPDX-License-Identifier: Apache-2.0
//! UEFI firmware at EL2, which starts the monitor, or without one the kernel by its EFI stub.
//!
//! Firmware has the machine's ACPI tables from QEMU and hands on no device tree. All that it reads is
//! made anew for each run: an EFI system partition, and its variables with an entry to boot.

mod load_option;
mod loaders;
mod partition;
mod secure_boot;
mod start;
mod variables;

use crate::environment::variable;
use crate::machine::{Guest, Machine, escape};
use crate::{Error, paths, script};
use start::{Next, Start};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the guest is.
const KERNEL: &str = r"\linux\Image";
const INITRD: &str = r"\linux\initrd";

/// The file of a run that has firmware's variables.
const FLASH: &str = "vars.fd";

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
    /// An entry to boot that is GRUB, whose `chainloader` starts it; `baton.conf` names the next loader.
    Grub,
    /// An entry to boot that is systemd-boot, which loads it as a driver, and then starts the kernel.
    SystemdBoot,
    /// Secure Boot: an entry to boot that is shim, which starts it with the machine owner's signature; it finds
    /// the distribution's shim, GRUB and kernel behind that by itself.
    Shim,
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
            "grub" => Ok(Self::Grub),
            "systemd-boot" => Ok(Self::SystemdBoot),
            "shim" => Ok(Self::Shim),
            other => Err(Error::Variable {
                name: "WAY",
                value: other.to_owned(),
                expected: "conf, options, driver, removable, grub, systemd-boot or shim",
            }),
        }
    }
}

/// What firmware can boot, where a test names all that it shall try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The application that causes this fault, and starts the monitor.
    Fault(&'static str),
    /// The monitor, with these load options; by shim, where that is the way.
    Monitor(&'static str),
    /// The monitor by firmware itself, with these load options, whatever is the way.
    MonitorByFirmware(&'static str),
    /// The guest, without the monitor.
    Guest,
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
    /// What firmware boots instead of what the way has, the next if one returns; empty: what the way has.
    pub entries: Vec<Entry>,
    /// Whether the monitor has the machine owner's signature, where the way has Secure Boot.
    pub is_signed: bool,
}

impl Uefi {
    /// The firmware that the environment names, with the run's files in the directory `files`.
    pub fn new(files: PathBuf) -> Self {
        Self {
            firmware: paths::edk2(),
            files,
            way: Way::default(),
            entries: Vec::new(),
            is_signed: true,
        }
    }

    /// That of the environment: [`new`](Self::new), with the way that `WAY=` names.
    ///
    /// # Errors
    /// [`Error::Variable`] if there is none.
    pub fn from_env() -> Result<Self, Error> {
        Ok(Self {
            way: variable("WAY").map_or(Ok(Way::default()), |way| Way::named(&way))?,
            ..Self::new(paths::target().join("guest/uefi"))
        })
    }

    /// Returns the value of the variable `name` that the last run has left; none if it is not there.
    ///
    /// # Errors
    /// [`Error::File`] if there is no flash of a run.
    pub fn variable(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        variables::read(&self.files.join(FLASH), name)
    }

    /// Writes the files of a run of `guest`, and returns QEMU's arguments for them.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is not there or cannot be written, [`Error::Program`] if the
    /// partition cannot be made.
    pub(crate) fn arguments(&self, machine: &Machine, guest: &Guest) -> Result<Vec<String>, Error> {
        let start = self.start(machine, loaders::next(self.way, guest));
        let mut files = start.files(&self.files)?;
        files.extend(loaders::files(self.way, guest)?);
        files.push((KERNEL, read(&guest.kernel)?));
        if let Some(initrd) = &guest.initrd {
            files.push((INITRD, read(initrd)?));
        }
        let disk = self.files.join("esp.img");
        self.run_with(files, |folder| {
            let mut script = Command::new(paths::guest_script("disk.sh"));
            script.args([&disk, folder]);
            script
        })?;
        let mut arguments = self.flash(&start, &disk)?;
        let disk = escape(&disk.to_string_lossy());
        arguments.extend([
            "-drive".into(),
            format!("if=none,id=esp,format=raw,readonly=on,file={disk}"),
            "-device".into(),
            format!(
                "virtio-blk-pci,drive=esp,serial=esp,{},romfile=",
                machine.by_smmu()
            ),
        ]);
        Ok(arguments)
    }

    /// Copies a disk with an installed Debian, adds the monitor to its EFI system partition as an
    /// administrator does, and returns the copy and QEMU's arguments for what starts it.
    ///
    /// # Errors
    /// As [`arguments`](Self::arguments).
    pub(crate) fn install(
        &self,
        machine: &Machine,
        disk: &Path,
    ) -> Result<(PathBuf, Vec<String>), Error> {
        let start = self.start(
            machine,
            Next {
                name: "debian",
                file: start::SHIM,
                arguments: String::new(),
                is_named: false,
            },
        );
        let copy = self.files.join("installed.img");
        self.run_with(start.files(&self.files)?, |folder| {
            let mut script = Command::new(paths::guest_script("add-to-esp.sh"));
            script.args([&copy, disk, folder]);
            script
        })?;
        let arguments = self.flash(&start, &copy)?;
        Ok((copy, arguments))
    }

    fn start<'a>(&'a self, machine: &'a Machine, next: Next) -> Start<'a> {
        Start {
            way: self.way,
            entries: &self.entries,
            monitor: machine.monitor.as_deref(),
            options: &machine.baton,
            is_signed: self.way == Way::Shim && self.is_signed,
            next,
        }
    }

    /// QEMU's arguments for firmware that begins with `start`, from the first partition of `disk`.
    fn flash(&self, start: &Start, disk: &Path) -> Result<Vec<String>, Error> {
        let variables = self.files.join(FLASH);
        start
            .variables(partition::first(disk)?)?
            .write(&variables)?;
        let firmware = match self.way {
            Way::Shim => &paths::secure_boot("CODE.fd"),
            _ => &self.firmware,
        };
        Ok(vec![
            "-bios".into(),
            firmware.to_string_lossy().into_owned(),
            "-drive".into(),
            format!(
                "if=pflash,format=raw,unit=1,file={}",
                escape(&variables.to_string_lossy())
            ),
        ])
    }

    /// Writes files of a partition into a folder, and runs the script that takes them from there.
    fn run_with(
        &self,
        files: Vec<(&str, Vec<u8>)>,
        script: impl FnOnce(&Path) -> Command,
    ) -> Result<(), Error> {
        let folder = self.files.join("esp");
        let fail = |path: &Path, error| Error::File {
            path: path.to_owned(),
            error,
        };
        fs::create_dir_all(&folder).map_err(|error| fail(&folder, error))?;
        for (name, bytes) in files {
            let file = folder.join(name[1..].replace('\\', "/"));
            let made = file.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| fs::write(&file, bytes))
                .map_err(|error| fail(&file, error))?;
        }
        script::run(&mut script(&folder))?;
        fs::remove_dir_all(&folder).map_err(|error| fail(&folder, error))
    }
}

/// The bytes of a file.
fn read(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|error| Error::File {
        path: file.to_owned(),
        error,
    })
}
