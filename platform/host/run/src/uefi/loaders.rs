// SPDX-License-Identifier: Apache-2.0
//! Boot loaders between firmware, the monitor and the kernel, as a distribution has them on the partition.

use super::start::{GRUB, MONITOR, Next, SHIM};
use super::{INITRD, KERNEL, Way, read};
use crate::machine::Guest;
use crate::{Error, paths};

/// What GRUB reads.
const GRUB_SCRIPT: &str = r"\EFI\debian\grub.cfg";
/// What manages shim's keys.
const MOK_MANAGER: &str = r"\EFI\debian\mmaa64.efi";
/// Where systemd-boot is, and what it reads.
const SYSTEMD_BOOT: &str = r"\EFI\systemd\systemd-bootaa64.efi";
const SYSTEMD_BOOT_CONFIGURATION: &str = r"\loader\loader.conf";
const SYSTEMD_BOOT_ENTRY: &str = r"\loader\entries\linux.conf";

/// What comes behind the monitor, or without one.
pub fn next(way: Way, guest: &Guest) -> Next {
    let (name, file) = match way {
        Way::SystemdBoot => ("systemd-boot", SYSTEMD_BOOT),
        Way::Shim => ("Debian", SHIM),
        _ => {
            return Next {
                name: "Linux",
                file: KERNEL,
                arguments: arguments(guest),
                is_named: true,
            };
        }
    };
    Next {
        name,
        file,
        arguments: String::new(),
        is_named: false,
    }
}

/// The loaders of `way`, and what they read to start the monitor or `guest`.
///
/// # Errors
/// [`Error::File`] if one is not there.
pub fn files(way: Way, guest: &Guest) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
    let unix = |path: &str| path.replace('\\', "/");
    let initrd = match guest.initrd {
        Some(_) => format!("initrd {}\n", unix(INITRD)),
        None => String::new(),
    };
    Ok(match way {
        Way::Grub => vec![
            (GRUB, read(&paths::grub())?),
            (
                GRUB_SCRIPT,
                format!("chainloader {}\nboot\n", unix(MONITOR.0)).into(),
            ),
        ],
        Way::SystemdBoot => {
            let entry = format!(
                "title Linux\nlinux {}\n{initrd}options {}\n",
                unix(KERNEL),
                guest.append
            );
            vec![
                (SYSTEMD_BOOT, read(&paths::systemd_boot())?),
                (SYSTEMD_BOOT_CONFIGURATION, b"timeout 0\n".into()),
                (SYSTEMD_BOOT_ENTRY, entry.into()),
            ]
        }
        Way::Shim => {
            let script = format!("linux {} {}\n{initrd}boot\n", unix(KERNEL), guest.append);
            vec![
                (SHIM, read(&paths::secure_boot("shimaa64.efi"))?),
                (MOK_MANAGER, read(&paths::secure_boot("mmaa64.efi"))?),
                (GRUB, read(&paths::secure_boot("grubaa64.efi"))?),
                (GRUB_SCRIPT, script.into()),
            ]
        }
        _ => Vec::new(),
    })
}

/// What the kernel's EFI stub is given: the guest's command line, and where its initrd is.
fn arguments(guest: &Guest) -> String {
    match guest.initrd {
        Some(_) => format!("initrd={INITRD} {}", guest.append),
        None => guest.append.clone(),
    }
}
