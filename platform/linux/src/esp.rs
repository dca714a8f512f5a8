// SPDX-License-Identifier: Apache-2.0
//! The EFI system partition, as it is mounted.

use crate::Error;
use crate::root::Root;
use rustix::fs::{StatVfsMountFlags, statvfs};
use std::path::{Path, PathBuf};

/// Where distributions mount it.
const PLACES: [&str; 4] = ["/boot/efi", "/efi", "/boot", "/boot/EFI"];

/// The partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Esp {
    /// Where it is mounted.
    pub mounted: PathBuf,
    /// Its disk, as `/dev/vda`.
    pub disk: String,
    /// Its number on the disk.
    pub number: u32,
    /// Its first block, of 512 bytes.
    pub start: u64,
    /// It cannot be written.
    pub read_only: bool,
    /// Bytes that are free on it.
    pub free: u64,
}

impl Esp {
    /// Finds it.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if it is not mounted.
    pub fn find(root: &Root) -> Result<Self, Error> {
        // A look into a folder has systemd mount what is mounted on demand.
        PLACES.iter().for_each(|place| {
            root.exists(format!("{place}/EFI"));
        });
        let mounts = root.text("/proc/self/mountinfo").unwrap_or_default();
        let mounted = PLACES.iter().find_map(|place| Mount::at(&mounts, place));
        let mount = mounted.ok_or_else(|| {
            Error::Refused(format!(
                "no EFI system partition is mounted: mount it on {}",
                PLACES[0]
            ))
        })?;
        let device = format!("/sys/dev/block/{}", mount.device);
        let number = |name: &str| {
            let text = root.text(format!("{device}/{name}"));
            text.and_then(|text| text.parse::<u64>().ok())
        };
        let link = root.link(&device);
        let disk = link
            .as_deref()
            .and_then(Path::parent)
            .and_then(Path::file_name);
        let (Some(partition), Some(start), Some(disk)) =
            (number("partition"), number("start"), disk)
        else {
            return Err(Error::Refused(format!(
                "what is mounted on {} is no partition of a disk ({device}), as firmware starts from: mount the \
                 EFI system partition itself",
                mount.place
            )));
        };
        let space = statvfs(root.path(mount.place)).ok();
        let read_only =
            |space: &rustix::fs::StatVfs| space.f_flag.contains(StatVfsMountFlags::RDONLY);
        Ok(Self {
            mounted: mount.place.into(),
            disk: format!("/dev/{}", disk.to_string_lossy()),
            number: partition as u32,
            start,
            read_only: mount.read_only || space.as_ref().is_some_and(read_only),
            free: space.map_or(0, |space| space.f_bavail * space.f_frsize),
        })
    }

    /// Returns whether a boot entry's partition is this one. Its block may have 4096 bytes.
    pub fn is(&self, partition: Option<(u32, u64)>) -> bool {
        let same_start =
            |start: u64| start == self.start || start.checked_mul(8) == Some(self.start);
        partition.is_some_and(|(number, start)| number == self.number && same_start(start))
    }

    /// Returns where a file is that firmware names with `\` between the folders.
    pub fn path(&self, file: &str) -> PathBuf {
        self.mounted
            .join(file.trim_start_matches('\\').replace('\\', "/"))
    }
}

/// A file system that is mounted.
struct Mount<'a> {
    device: &'a str,
    place: &'a str,
    read_only: bool,
}

impl<'a> Mount<'a> {
    /// Finds what firmware can read at `place` (proc_pid_mountinfo(5)).
    fn at(mounts: &'a str, place: &str) -> Option<Self> {
        // What was mounted last is what is seen.
        mounts.lines().rev().find_map(|line| {
            let (mount, source) = line.split_once(" - ")?;
            let mut fields = mount.split(' ').skip(2);
            let (device, _, mounted, options) = (
                fields.next()?,
                fields.next()?,
                fields.next()?,
                fields.next()?,
            );
            let found = source.split(' ').next()? == "vfat" && mounted == place;
            let read_only = options.split(',').any(|option| option == "ro");
            found.then_some(Self {
                device,
                place: mounted,
                read_only,
            })
        })
    }
}

/// A partition, for tests.
#[cfg(test)]
pub(crate) mod fake {
    use crate::root::fake::System;

    /// Mounts a partition.
    pub fn mount(system: &System, options: &str) {
        let line = format!(
            "22 1 254:2 / / rw - ext4 /dev/vda2 rw\n36 22 254:1 / /boot/efi {options} - vfat /dev/vda1 rw\n"
        );
        system.put("/proc/self/mountinfo", line);
        system.put("/sys/devices/block/vda/vda1/partition", "1\n");
        system.put("/sys/devices/block/vda/vda1/start", "2048\n");
        let link = system.root().path("/sys/dev/block/254:1");
        std::fs::create_dir_all(link.parent().expect("a folder")).expect("a folder");
        // It may be there.
        let _ = std::os::unix::fs::symlink("../../devices/block/vda/vda1", link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::fake::System;

    #[test]
    fn is_found_where_it_is_mounted() {
        let system = System::new().with("/boot/efi/EFI/debian/shimaa64.efi", "");
        fake::mount(&system, "rw,relatime");
        let esp = Esp::find(&system.root()).expect("a partition");
        assert_eq!(
            (esp.disk.as_str(), esp.number, esp.start),
            ("/dev/vda", 1, 2048)
        );
        assert!(!esp.read_only && esp.free > 0);
        assert!(
            esp.is(Some((1, 2048))) && esp.is(Some((1, 256))),
            "blocks of 512 and of 4096 bytes"
        );
        assert!(!esp.is(Some((2, 2048))) && !esp.is(None));
        assert_eq!(
            esp.path("\\EFI\\a.efi"),
            PathBuf::from("/boot/efi/EFI/a.efi")
        );
        fake::mount(&system, "ro,relatime");
        assert!(Esp::find(&system.root()).expect("a partition").read_only);
    }

    #[test]
    fn says_that_none_is_mounted() {
        let system = System::new().with(
            "/proc/self/mountinfo",
            "22 1 254:2 / / rw - ext4 /dev/vda2 rw\n",
        );
        let error = Esp::find(&system.root()).expect_err("none").to_string();
        assert_eq!(
            error,
            "no EFI system partition is mounted: mount it on /boot/efi"
        );
    }
}
