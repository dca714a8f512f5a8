// SPDX-License-Identifier: Apache-2.0
//! What firmware starts first: the monitor in one of its ways, or what would come next to it.

use super::load_option::LoadOption;
use super::partition::Partition;
use super::variables::Variables;
use super::{Way, read};
use crate::Error;
use crate::pe::{self, Subsystem};
use std::io;
use std::path::Path;

/// Where the monitor is on the partition, and its configuration beside it.
const MONITOR: (&str, &str) = (r"\EFI\BATON\BATON.EFI", r"\EFI\BATON\baton.conf");
/// The same where firmware looks for itself (UEFI 2.10, 3.5.1.1).
pub const REMOVABLE: (&str, &str) = (r"\EFI\BOOT\BOOTAA64.EFI", r"\EFI\BOOT\baton.conf");

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
    /// Its image; none: what is next is started without it.
    pub monitor: Option<&'a Path>,
    /// Its own options.
    pub options: &'a str,
    /// What it starts.
    pub next: Next,
}

impl Start<'_> {
    /// The variables by which firmware starts it from `partition`.
    pub fn variables(&self, partition: Partition) -> Variables {
        let entry = |name, file, options: &str| {
            let option = LoadOption {
                name,
                partition,
                file,
                options,
            };
            [option.to_bytes()]
        };
        let next = &self.next;
        let next = || entry(next.name, next.file, &next.arguments);
        let mut variables = Variables::default();
        variables.start_at_once();
        match self.way {
            _ if self.monitor.is_none() => variables.boot(&next()),
            Way::Configuration => variables.boot(&entry("Baton", MONITOR.0, "")),
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
        variables
    }

    /// The monitor's files on the partition: its image, and beside it what it is told.
    ///
    /// # Errors
    /// [`Error::File`] if the image cannot be read, or is none for firmware.
    pub fn files(&self) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
        let Some(file) = self.monitor else {
            return Ok(Vec::new());
        };
        let mut image = read(file)?;
        let (place, configuration) = match self.way {
            Way::LoadOptions => return Ok(vec![(MONITOR.0, image)]),
            Way::Configuration => (MONITOR, format!("{}\n{}\n", self.next(), self.options)),
            Way::Removable => (REMOVABLE, format!("{}\n{}\n", self.next(), self.options)),
            Way::Driver => (MONITOR, format!("{}\n", self.options)),
        };
        if self.way == Way::Driver {
            pe::set_subsystem(&mut image, Subsystem::BootServiceDriver).map_err(|reason| {
                Error::File {
                    path: file.to_owned(),
                    error: io::Error::other(reason),
                }
            })?;
        }
        Ok(vec![(place.0, image), (place.1, configuration.into())])
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
