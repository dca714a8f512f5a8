// SPDX-License-Identifier: Apache-2.0
//! What firmware starts first: the monitor in one of its ways, or what would come next to it.

use super::load_option::LoadOption;
use super::partition::Partition;
use super::variables::Variables;
use super::{Entry, Way, read, secure_boot};
use crate::pe::{self, Subsystem};
use crate::{Error, paths};
use std::io;
use std::path::Path;

/// Where the monitor is on the partition, and its configuration beside it.
pub const MONITOR: (&str, &str) = (r"\EFI\BATON\BATON.EFI", r"\EFI\BATON\baton.conf");
/// The same where firmware looks for itself (UEFI 2.10, 3.5.1.1).
const REMOVABLE: (&str, &str) = (r"\EFI\BOOT\BOOTAA64.EFI", r"\EFI\BOOT\baton.conf");

/// The same where systemd-boot looks for drivers.
const DRIVERS: (&str, &str) = (
    r"\EFI\systemd\drivers\baton-driveraa64.efi",
    r"\EFI\systemd\drivers\baton.conf",
);

/// Where Debian's GRUB is, and its shim, which its installer has firmware start.
pub const GRUB: &str = r"\EFI\debian\grubaa64.efi";
pub const SHIM: &str = r"\EFI\debian\shimaa64.efi";

/// Where the application is that tests put before the monitor.
const FAULTS: &str = r"\EFI\FAULTS\FAULTS.EFI";

/// What comes behind the monitor.
pub struct Next {
    /// What a menu calls it.
    pub name: &'static str,
    /// Its path on the partition.
    pub file: &'static str,
    /// What it is given.
    pub arguments: String,
    /// Whether the monitor is told of it; else it finds it by itself.
    pub is_named: bool,
}

/// What firmware starts.
pub struct Start<'a> {
    /// How the monitor is started.
    pub way: Way,
    /// What is booted instead of what the way has; empty: what the way has.
    pub entries: &'a [Entry],
    /// Its image; none: what is next is started without it.
    pub monitor: Option<&'a Path>,
    /// Its own options.
    pub options: &'a str,
    /// Whether it has the machine owner's signature.
    pub is_signed: bool,
    /// What it starts.
    pub next: Next,
}

impl Start<'_> {
    /// The variables by which firmware starts it from `partition`.
    ///
    /// # Errors
    /// [`Error::File`] if the keys of Secure Boot cannot be read.
    pub fn variables(&self, partition: Partition) -> Result<Variables, Error> {
        let option = |name, file, options: &str| {
            let option = LoadOption {
                name,
                partition,
                file,
                options,
            };
            option.to_bytes()
        };
        let entry = |name, file, options: &str| [option(name, file, options)];
        let next = &self.next;
        let next = || entry(next.name, next.file, &next.arguments);
        let mut variables = Variables::default();
        variables.start_at_once();
        if self.way == Way::Shim {
            secure_boot::enroll(&mut variables)?;
        }
        // A shim takes the first word of its load options for what it is to start, and hands on the rest.
        let by_shim = |options: &str| {
            let options = format!("{} {options}", MONITOR.0);
            option("Baton", SHIM, options.trim_end())
        };
        if !self.entries.is_empty() {
            let entries = self.entries.iter().map(|entry| match *entry {
                Entry::Fault(name) => option("Faults", FAULTS, &format!("fault={name}")),
                Entry::Monitor(options) if self.way == Way::Shim => by_shim(options),
                Entry::Monitor(options) | Entry::MonitorByFirmware(options) => {
                    option("Baton", MONITOR.0, options)
                }
                Entry::Guest => option(self.next.name, self.next.file, &self.next.arguments),
            });
            variables.boot(&entries.collect::<Vec<_>>());
            return Ok(variables);
        }
        match self.way {
            _ if self.monitor.is_none() => variables.boot(&next()),
            // The distribution's own entry stays behind it.
            Way::Configuration if !self.next.is_named => {
                variables.boot(&[entry("Baton", MONITOR.0, ""), next()].concat());
            }
            Way::Configuration => variables.boot(&entry("Baton", MONITOR.0, "")),
            Way::Grub => variables.boot(&entry("GRUB", GRUB, "")),
            Way::SystemdBoot => variables.boot(&next()),
            Way::Shim => variables.boot(&[by_shim("")]),
            Way::LoadOptions => {
                let options = format!("{} {}", self.options, self.next());
                variables.boot(&entry("Baton", MONITOR.0, options.trim()));
            }
            Way::Driver => {
                variables.drivers(&entry("Baton", MONITOR.0, ""));
                variables.boot(&next());
            }
            Way::Removable => {}
        }
        Ok(variables)
    }

    /// The monitor's files on the partition: its image, and beside it what it is told. Files on the way are
    /// written to `folder`.
    ///
    /// # Errors
    /// [`Error::File`] if the image cannot be read, or is none for firmware; [`Error::Program`] if it cannot be
    /// signed.
    pub fn files(&self, folder: &Path) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
        let Some(file) = self.monitor else {
            return Ok(Vec::new());
        };
        let mut image = read(file)?;
        let mut files = Vec::new();
        if !self.entries.is_empty() {
            files.push((FAULTS, read(&paths::faults())?));
        }
        let told = || format!("{}\n{}\n", self.next(), self.options);
        let (place, configuration) = match self.way {
            Way::LoadOptions => (MONITOR, None),
            Way::Removable => (REMOVABLE, Some(told())),
            Way::SystemdBoot => (DRIVERS, Some(format!("{}\n", self.options))),
            Way::Driver => (MONITOR, Some(format!("{}\n", self.options))),
            Way::Configuration | Way::Grub | Way::Shim => (MONITOR, Some(told())),
        };
        if matches!(self.way, Way::Driver | Way::SystemdBoot) {
            pe::set_subsystem(&mut image, Subsystem::BootServiceDriver).map_err(|reason| {
                Error::File {
                    path: file.to_owned(),
                    error: io::Error::other(reason),
                }
            })?;
        }
        if self.is_signed {
            image = secure_boot::sign(&image, folder)?;
        }
        files.push((place.0, image));
        files.extend(configuration.map(|text| (place.1, text.into())));
        Ok(files)
    }

    /// The word by which the monitor is told what to start, and with what, to the end of the line.
    fn next(&self) -> String {
        match &self.next {
            Next {
                file,
                arguments,
                is_named: true,
                ..
            } => format!("next={file} {arguments}"),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distributions_own_entry_stays_behind_the_monitors() {
        let partition = Partition {
            number: 1,
            start: 2048,
            blocks: 4096,
            guid: [0; 16],
        };
        let start = Start {
            way: Way::Configuration,
            entries: &[],
            monitor: Some(Path::new("baton.efi")),
            options: "",
            is_signed: false,
            next: Next {
                name: "debian",
                file: SHIM,
                arguments: String::new(),
                is_named: false,
            },
        };
        let option = |name, file| {
            let option = LoadOption {
                name,
                partition,
                file,
                options: "",
            };
            option.to_bytes()
        };
        let mut expected = Variables::default();
        expected.start_at_once();
        expected.boot(&[option("Baton", MONITOR.0), option("debian", SHIM)]);
        assert!(
            start
                .variables(partition)
                .is_ok_and(|seen| seen == expected),
            "expected the entries Baton and debian, in this order"
        );
    }
}
