// SPDX-License-Identifier: Apache-2.0
//! `baton install` and `baton uninstall`: what starts Baton at each boot, before what starts the system today.

mod efibootmgr;
pub mod uboot;
pub mod uefi;
pub mod work;

use crate::boot_entries::{BootEntries, VARIABLES};
use crate::esp::Esp;
use crate::evidence::Evidence;
use crate::plan::Plan;
use crate::root::Root;
use crate::{Error, check};
use uboot::Start;
use work::{Wish, Work};

/// What starts this machine.
enum Way {
    Uefi(BootEntries),
    UBoot(Start),
}

impl Way {
    fn find(root: &Root) -> Result<Self, Error> {
        if let Some(boot) = BootEntries::read(root) {
            return Ok(Self::Uefi(boot));
        }
        let by_uefi = root.exists("/sys/firmware/efi");
        match Start::find(root) {
            Some(start) if start == Start::Menu || !by_uefi => return Ok(Self::UBoot(start)),
            _ => {}
        }
        let why = if by_uefi {
            without_entries(root)
        } else {
            "neither UEFI nor an extlinux.conf or a boot.scr of U-Boot's starts this system, so nothing is installed \
             here by this command: `baton try` needs neither"
        };
        Err(Error::Refused(why.into()))
    }
}

/// Returns why UEFI shows no boot entries.
fn without_entries(root: &Root) -> &'static str {
    if !root.exists(VARIABLES) {
        "this kernel does not reach firmware's boot entries: boot it without efi=noruntime, with CONFIG_EFIVAR_FS"
    } else if root.names(VARIABLES).is_empty() {
        "firmware's boot entries are not shown: mount -t efivarfs efivarfs /sys/firmware/efi/efivars"
    } else {
        "firmware has no boot entry, of which Baton would be one: make one for this system first, by efibootmgr"
    }
}

/// Returns how to install Baton.
///
/// # Errors
///
/// [`Error`] for what stands against it.
pub fn install(root: &Root, wish: Wish) -> Result<Work, Error> {
    if wish == Wish::Refresh {
        return Ok(uboot::refresh(root)?.unwrap_or_else(|| Work {
            plan: Plan::default(),
            then: "nothing is to be made anew".into(),
        }));
    }
    let under_baton = Evidence::find(root)?.is_some();
    if wish == Wish::Confirm && !under_baton {
        return Err(Error::Refused(
            "this boot is not under Baton, so there is nothing to confirm: reboot after `baton install`, and \
             look at the console if `baton status` then says the same"
                .into(),
        ));
    }
    if !under_baton && let Some(why) = check::obstacle(&check::machine(root)) {
        return Err(Error::Refused(why.into()));
    }
    match Way::find(root)? {
        Way::Uefi(boot) => uefi::Found::read(root, boot)?.install(wish),
        Way::UBoot(start) => uboot::install(root, start, wish),
    }
}

/// Returns how to take Baton out.
///
/// # Errors
///
/// [`Error`] for what stands against it.
pub fn uninstall(root: &Root) -> Result<Work, Error> {
    match Way::find(root)? {
        Way::Uefi(boot) => uefi::Found::read(root, boot)?.uninstall(),
        Way::UBoot(start) => uboot::uninstall(root, start),
    }
}

/// Returns where Baton is installed, in words; `None` if it is not. For the package, which must not go before.
pub fn installed(root: &Root) -> Option<String> {
    let way = Way::find(root).ok()?;
    match way {
        Way::Uefi(boot) => {
            // Another system's disk may have a Baton of its own.
            let esp = Esp::find(root).ok();
            let is_here = |place| esp.as_ref().is_none_or(|esp| esp.is(place));
            let entry = boot
                .entries
                .iter()
                .find(|entry| entry.starts(uefi::LOADER) && is_here(entry.partition))?;
            Some(format!("boot entry Boot{:04X}", entry.number))
        }
        Way::UBoot(start) => {
            let content = root.bytes(start.file())?;
            start.has_baton(&content).then(|| start.file().into())
        }
    }
}
