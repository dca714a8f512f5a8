// SPDX-License-Identifier: Apache-2.0
//! Baton as a boot entry of UEFI's. It starts once (BootNext) until that boot is confirmed, and then before the
//! entry that starts the system today.

use super::work::{Wish, Work};
use crate::boot_entries::{BootEntries, Entry};
use crate::esp::Esp;
use crate::plan::{Plan, Step};
use crate::root::Root;
use crate::{Error, check};
use std::path::PathBuf;

/// Baton's file on the partition.
pub const LOADER: &str = "\\EFI\\baton\\baton.efi";
/// What it is told.
const CONF: &str = "\\EFI\\baton\\baton.conf";
const FOLDER: &str = "\\EFI\\baton";
/// What firmware starts of a disk that has no entry (UEFI 2.10, 3.5.1.1).
const REMOVABLE: &str = "\\EFI\\BOOT\\BOOTAA64.EFI";
/// Where the package has the file.
pub const PACKAGED: &str = "/usr/lib/baton/baton.efi";
/// What a menu calls it.
const LABEL: &str = "Baton";
/// What names the next loader in the configuration.
const NEXT: &str = "next=";
/// Bytes that are to stay free on the partition.
const SPARE: u64 = 64 << 10;
/// In a PE32+ file: where its header is, and in that where its signatures are (PE Format, "Optional Header Data
/// Directories").
const LFANEW: usize = 0x3c;
const CERTIFICATES: usize = 24 + 112 + 4 * 8;

/// What decides.
#[derive(Clone, Debug)]
pub struct Found {
    /// The partition.
    pub esp: Esp,
    /// Firmware's entries.
    pub boot: BootEntries,
    /// Baton's file in the package.
    pub packaged: Option<Vec<u8>>,
    /// The one on the partition.
    pub image: Option<Vec<u8>>,
    /// The configuration beside it.
    pub conf: Option<String>,
    /// There is a folder for both.
    pub has_folder: bool,
    /// The partition has a loader for removable disks.
    pub has_removable: bool,
    /// Firmware starts what is signed, and nothing else.
    pub secure_boot: bool,
    /// There is a program that changes entries.
    pub has_efibootmgr: bool,
}

impl Found {
    /// Looks at the system.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the partition is not mounted.
    pub fn read(root: &Root, boot: BootEntries) -> Result<Self, Error> {
        let esp = Esp::find(root)?;
        let programs = [
            "/usr/bin/efibootmgr",
            "/bin/efibootmgr",
            "/usr/sbin/efibootmgr",
        ];
        Ok(Self {
            packaged: root.bytes(PACKAGED),
            image: root.bytes(esp.path(LOADER)),
            conf: root
                .bytes(esp.path(CONF))
                .map(|conf| String::from_utf8_lossy(&conf).into_owned()),
            has_folder: root.exists(esp.path(FOLDER)),
            has_removable: root.exists(esp.path(REMOVABLE)),
            secure_boot: check::secure_boot(root),
            has_efibootmgr: programs.iter().any(|path| root.exists(path)),
            esp,
            boot,
        })
    }

    /// Returns how to install Baton, or to confirm it.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`]
    pub fn install(&self, wish: Wish) -> Result<Work, Error> {
        self.check_writable()?;
        match wish {
            Wish::Confirm => self.confirm(),
            Wish::Once | Wish::Refresh => self.install_once(),
        }
    }

    fn install_once(&self) -> Result<Work, Error> {
        let packaged = self.packaged.as_ref().ok_or_else(|| {
            Error::Refused(format!("there is no {PACKAGED}: install the package baton"))
        })?;
        if self.secure_boot && !is_signed(packaged) {
            return Err(Error::Refused(format!(
                "Secure Boot is on, and {PACKAGED} has no signature: firmware would not start it"
            )));
        }
        let conf = self.configuration()?;
        let number = self.number()?;
        let mut plan = Plan::default();
        self.put_files(&mut plan, packaged, conf)?;
        let name = format!("{number:04X}");
        if self.own().is_none() {
            let (disk, part) = (&self.esp.disk, self.esp.number.to_string());
            plan.run(
                &[
                    "efibootmgr",
                    "--quiet",
                    "--create-only",
                    "--bootnum",
                    &name,
                    "--disk",
                    disk,
                    "--part",
                    &part,
                    "--label",
                    LABEL,
                    "--loader",
                    LOADER,
                ],
                Some(&[
                    "efibootmgr",
                    "--quiet",
                    "--bootnum",
                    &name,
                    "--delete-bootnum",
                ]),
            );
        }
        if self.boot.order.contains(&number) {
            let then = format!("Baton is Boot{name}, and starts at each boot");
            return Ok(Work { plan, then });
        }
        if self.boot.next != Some(number) {
            let before = self.boot.next.map(|next| format!("{next:04X}"));
            let undo = match &before {
                Some(before) => vec!["efibootmgr", "--quiet", "--bootnext", before],
                None => vec!["efibootmgr", "--quiet", "--delete-bootnext"],
            };
            plan.run(&["efibootmgr", "--quiet", "--bootnext", &name], Some(&undo));
        }
        let then = format!(
            "Baton is Boot{name}, and starts once, at the next boot; after it, `baton install --confirm` has it \
             start each time"
        );
        Ok(Work { plan, then })
    }

    fn confirm(&self) -> Result<Work, Error> {
        let own = self.own().ok_or_else(|| {
            Error::Refused("Baton is not installed: `baton install` comes first".into())
        })?;
        let order = &self.boot.order;
        let name = format!("{:04X}", own.number);
        let mut plan = Plan::default();
        if !order.contains(&own.number) {
            let mut with = order.clone();
            with.insert(self.place_in_order(), own.number);
            let undo = list(order);
            let command = ["efibootmgr", "--quiet", "--bootorder", &list(&with)].map(str::to_owned);
            let undo = ["efibootmgr", "--quiet", "--bootorder", &undo].map(str::to_owned);
            plan.push(Step::Run {
                command: command.into(),
                undo: (!order.is_empty()).then(|| undo.into()),
            });
        }
        let then = format!("Baton is Boot{name}, and starts at each boot");
        Ok(Work { plan, then })
    }

    /// Returns how to take Baton out.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`]
    pub fn uninstall(&self) -> Result<Work, Error> {
        let mut plan = Plan::default();
        // First the entry: firmware never has one that leads nowhere.
        if let Some(own) = self.own() {
            let name = format!("{:04X}", own.number);
            if self.boot.next == Some(own.number) {
                plan.run(
                    &["efibootmgr", "--quiet", "--delete-bootnext"],
                    Some(&["efibootmgr", "--quiet", "--bootnext", &name]),
                );
            }
            // It leaves the order too.
            plan.run(
                &[
                    "efibootmgr",
                    "--quiet",
                    "--bootnum",
                    &name,
                    "--delete-bootnum",
                ],
                None,
            );
        }
        for (file, is_there) in [(LOADER, self.image.is_some()), (CONF, self.conf.is_some())] {
            if is_there {
                plan.push(Step::Remove(self.esp.path(file)));
            }
        }
        if self.has_folder {
            plan.push(Step::RemoveFolder(self.esp.path(FOLDER)));
        }
        if !plan.steps.is_empty() {
            self.check_writable()?;
        }
        Ok(Work::removal(plan))
    }

    fn check_writable(&self) -> Result<(), Error> {
        if !self.has_efibootmgr {
            return Err(Error::Refused(
                "there is no program efibootmgr: apt-get install efibootmgr".into(),
            ));
        }
        let mounted = self.esp.mounted.display();
        match self.esp.read_only {
            true => Err(Error::Refused(format!(
                "the EFI system partition is read-only: mount -o remount,rw {mounted}"
            ))),
            false => Ok(()),
        }
    }

    /// Returns Baton's entry.
    fn own(&self) -> Option<&Entry> {
        let is_own = |entry: &&Entry| entry.starts(LOADER) && self.esp.is(entry.partition);
        self.boot.entries.iter().find(is_own)
    }

    /// Returns the number of Baton's entry, which may be still to be made.
    fn number(&self) -> Result<u16, Error> {
        if let Some(own) = self.own() {
            return Ok(own.number);
        }
        match self.boot.entries.iter().find(|entry| entry.label == LABEL) {
            Some(other) => Err(Error::Refused(format!(
                "Boot{0:04X} is called {LABEL} and starts another file: remove it first (efibootmgr --bootnum \
                 {0:04X} --delete-bootnum)",
                other.number
            ))),
            None => Ok(self.boot.free_number()),
        }
    }

    /// Returns the configuration that names the next loader; `None` if the one that is there does.
    fn configuration(&self) -> Result<Option<String>, Error> {
        let conf = self.conf.clone().unwrap_or_default();
        if conf.lines().any(|line| line.contains(NEXT)) {
            return Ok(None);
        }
        let mut lines: Vec<String> = conf.lines().map(str::to_owned).collect();
        lines.push(format!("{NEXT}{}", self.next_loader()?));
        Ok(Some(lines.join("\n") + "\n"))
    }

    /// Returns the loader that starts this system today.
    fn next_loader(&self) -> Result<String, Error> {
        let not_own = |entry: &&Entry| !entry.starts(LOADER);
        let present = self
            .boot
            .current
            .and_then(|number| self.boot.get(number))
            .filter(not_own);
        let mut others = self
            .boot
            .order
            .iter()
            .filter_map(|&number| self.boot.get(number));
        let present = present.or_else(|| others.find(not_own));
        let refused = |why: String| Err(Error::Refused(why));
        match present {
            Some(Entry {
                file: Some(file),
                partition,
                ..
            }) if self.esp.is(*partition) => Ok(file.clone()),
            Some(Entry { file: None, .. }) | None if self.has_removable => Ok(REMOVABLE.into()),
            Some(entry) => refused(format!(
                "what starts this system, Boot{:04X} ({}), is not on the partition on {}, and Baton starts what \
                 is on its own",
                entry.number,
                entry.label,
                self.esp.mounted.display()
            )),
            None => refused("no boot entry starts this system".into()),
        }
    }

    /// Returns where in the order Baton's entry belongs: before the one that it starts, else first.
    fn place_in_order(&self) -> usize {
        let conf = self.conf.as_deref().unwrap_or_default();
        let next = conf
            .lines()
            .find_map(|line| line.split_once(NEXT)?.1.split_whitespace().next());
        let starts_it = |number: &u16| {
            let entry = self.boot.get(*number);
            entry
                .zip(next)
                .is_some_and(|(entry, next)| entry.starts(next))
        };
        self.boot.order.iter().position(starts_it).unwrap_or(0)
    }

    /// Adds what puts the files in place, if they fit.
    fn put_files(
        &self,
        plan: &mut Plan,
        packaged: &[u8],
        conf: Option<String>,
    ) -> Result<(), Error> {
        let place = |file: &str| self.esp.path(file);
        let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
        if self.image.as_deref() != Some(packaged) {
            files.push((place(LOADER), packaged.to_vec()));
        }
        files.extend(conf.map(|conf| (place(CONF), conf.into_bytes())));
        let needed: u64 = files
            .iter()
            .map(|(_, content)| content.len() as u64 + SPARE)
            .sum();
        if needed > self.esp.free {
            return Err(Error::Refused(format!(
                "the EFI system partition on {} is full: {} KiB are free, {} KiB are needed",
                self.esp.mounted.display(),
                self.esp.free >> 10,
                needed >> 10
            )));
        }
        if !self.has_folder {
            plan.push(Step::MakeFolder(place(FOLDER)));
        }
        for (path, content) in files {
            plan.push(Step::Write { path, content });
        }
        Ok(())
    }
}

/// Returns a list of entries as efibootmgr takes it.
fn list(numbers: &[u16]) -> String {
    let names: Vec<String> = numbers
        .iter()
        .map(|number| format!("{number:04X}"))
        .collect();
    names.join(",")
}

/// Returns whether a PE32+ file has signatures.
fn is_signed(file: &[u8]) -> bool {
    let word = |at: usize| {
        let bytes = file.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    };
    let header = word(LFANEW).unwrap_or(0);
    word(header.saturating_add(CERTIFICATES)).is_some_and(|place| place != 0)
}

#[cfg(test)]
mod tests;
