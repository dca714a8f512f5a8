// SPDX-License-Identifier: Apache-2.0
//! Baton as a boot entry of UEFI's. It starts once (BootNext) until that boot is confirmed, and then before the
//! entry that starts the system today.

use super::efibootmgr;
use super::work::{Wish, Work};
use crate::boot_entries::{BootEntries, Entry, VARIABLES};
use crate::esp::Esp;
use crate::plan::{Plan, Step};
use crate::root::Root;
use crate::{Error, check};
use rustix::fs::{StatVfsMountFlags, statvfs};
use std::path::{Path, PathBuf};

/// Baton's file on the partition.
pub const LOADER: &str = "\\EFI\\baton\\baton.efi";
/// What it is told.
const CONF: &str = "\\EFI\\baton\\baton.conf";
const FOLDER: &str = "\\EFI\\baton";
/// What is left of a file that was being written when the machine stopped.
const UNFINISHED: [&str; 2] = [
    "\\EFI\\baton\\baton.efi.new",
    "\\EFI\\baton\\baton.conf.new",
];
/// In the file's section `.sbat`: by it, Baton knows its own.
const MARK: &[u8] = b"\nbaton,";
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
    /// Files in the folder that were never finished.
    pub unfinished: Vec<&'static str>,
    /// There is a folder for both.
    pub has_folder: bool,
    /// The partition has a loader for removable disks.
    pub has_removable: bool,
    /// Firmware starts what is signed, and nothing else.
    pub secure_boot: bool,
    /// Linux must not change firmware's variables.
    pub variables_read_only: bool,
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
        Ok(Self {
            packaged: root.bytes(PACKAGED),
            // One that cannot be read is there all the same.
            image: root
                .exists(esp.path(LOADER))
                .then(|| root.bytes(esp.path(LOADER)).unwrap_or_default()),
            conf: root
                .bytes(esp.path(CONF))
                .map(|conf| String::from_utf8_lossy(&conf).into_owned()),
            unfinished: UNFINISHED
                .into_iter()
                .filter(|file| root.exists(esp.path(file)))
                .collect(),
            has_folder: root.exists(esp.path(FOLDER)),
            has_removable: root.exists(esp.path(REMOVABLE)),
            secure_boot: check::secure_boot(root),
            variables_read_only: is_read_only(&root.path(VARIABLES)),
            has_efibootmgr: efibootmgr::PROGRAMS.iter().any(|path| root.exists(path)),
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
        let number = self.number()?;
        if self.is_foreign() {
            return Err(Error::Refused(format!(
                "{} is there, and is no file of Baton's: move it away first",
                self.esp.path(LOADER).display()
            )));
        }
        let conf = self.configuration()?;
        let mut plan = Plan::default();
        self.put_files(&mut plan, packaged, conf)?;
        let name = efibootmgr::name(number);
        if self.own().is_none() {
            plan.push(efibootmgr::create(number, &self.esp, LABEL, LOADER));
        }
        if self.is_in_place(number) {
            let then = format!("Baton is Boot{name}, and starts at each boot");
            return Ok(Work { plan, then });
        }
        if self.boot.next != Some(number) {
            plan.push(efibootmgr::next(self.boot.next, Some(number)));
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
        let name = efibootmgr::name(own.number);
        let mut plan = Plan::default();
        if !self.is_in_place(own.number) {
            let mut order = self.boot.order.clone();
            order.retain(|&number| number != own.number);
            order.insert(self.next_in(&order).unwrap_or(0), own.number);
            plan.push(efibootmgr::order(&self.boot.order, &order));
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
        let own: Vec<u16> = self.own_entries().map(|entry| entry.number).collect();
        let mut order = self.boot.order.clone();
        order.retain(|number| !own.contains(number));
        // An order without entries goes with the last of them.
        if order != self.boot.order && !order.is_empty() {
            plan.push(efibootmgr::order(&self.boot.order, &order));
        }
        for entry in self.own_entries() {
            if self.boot.next == Some(entry.number) {
                plan.push(efibootmgr::next(self.boot.next, None));
            }
            let Entry { number, label, .. } = entry;
            plan.push(efibootmgr::delete(*number, &self.esp, label, LOADER));
        }
        // Who removes an entry by hand may leave it to be started once.
        if let Some(next) = self.boot.next
            && self.image.is_some()
            && self.boot.get(next).is_none()
        {
            plan.push(efibootmgr::next(Some(next), None));
        }
        if self.is_foreign() {
            return Ok(Work::removal(plan));
        }
        for (file, is_there) in [(LOADER, self.image.is_some()), (CONF, self.conf.is_some())] {
            if is_there {
                plan.push(Step::Remove(self.esp.path(file)));
            }
        }
        for file in &self.unfinished {
            plan.push(Step::Remove(self.esp.path(file)));
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
        if self.esp.read_only {
            return Err(Error::Refused(format!(
                "the EFI system partition is read-only: mount -o remount,rw {mounted}"
            )));
        }
        match self.variables_read_only {
            true => Err(Error::Refused(format!(
                "firmware's boot entries are read-only: mount -o remount,rw {VARIABLES}"
            ))),
            false => Ok(()),
        }
    }

    /// Returns Baton's entry.
    fn own(&self) -> Option<&Entry> {
        self.own_entries().next()
    }

    /// Returns all entries that start Baton's file on this partition.
    fn own_entries(&self) -> impl Iterator<Item = &Entry> {
        let is_own = |entry: &&Entry| entry.starts(LOADER) && self.esp.is(entry.partition);
        self.boot.entries.iter().filter(is_own)
    }

    /// Returns whether somebody else's file is in the place of Baton's. One that an entry of Baton's starts is
    /// Baton's, though it may be damaged.
    fn is_foreign(&self) -> bool {
        let has_mark = |image: &Vec<u8>| image.windows(MARK.len()).any(|bytes| bytes == MARK);
        self.own().is_none() && self.image.as_ref().is_some_and(|image| !has_mark(image))
    }

    /// Returns the number of Baton's entry, which may be still to be made.
    fn number(&self) -> Result<u16, Error> {
        if let Some(own) = self.own() {
            return Ok(own.number);
        }
        match self.boot.entries.iter().find(|entry| entry.label == LABEL) {
            Some(other) => Err(Error::Refused(format!(
                "Boot{0:04X} is called {LABEL} and starts another file, or one on another partition: remove it first \
                 (efibootmgr --bootnum {0:04X} --delete-bootnum)",
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

    /// Returns whether firmware tries Baton's entry, and does so before the one that Baton starts.
    fn is_in_place(&self, own: u16) -> bool {
        let order = &self.boot.order;
        let place = order.iter().position(|&number| number == own);
        place.is_some_and(|place| self.next_in(order).is_none_or(|next| place < next))
    }

    /// Returns where in an order the entry is that Baton starts.
    fn next_in(&self, order: &[u16]) -> Option<usize> {
        let conf = self.conf.as_deref().unwrap_or_default();
        let next = conf
            .lines()
            .find_map(|line| line.split_once(NEXT)?.1.split_whitespace().next())?;
        let starts_it = |&number: &u16| {
            let entry = self.boot.get(number);
            entry.is_some_and(|entry| entry.starts(next))
        };
        order.iter().position(starts_it)
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

/// Returns whether what is mounted at `path` cannot be written.
fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|space| space.f_flag.contains(StatVfsMountFlags::RDONLY))
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
