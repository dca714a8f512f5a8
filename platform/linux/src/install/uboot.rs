// SPDX-License-Identifier: Apache-2.0
//! Baton as an entry of U-Boot's menu, which starts one file of Baton with the kernel behind it.
//!
//! U-Boot has no entry for one boot: the new one is there to be chosen at the console, or Baton is brought up by
//! `baton try`; once that is confirmed, it is the default.

use super::work::{Wish, Work};
use crate::image::{Combined, MONITOR};
use crate::plan::{Plan, Step};
use crate::root::Root;
use crate::{Error, extlinux};
use rustix::fs::statvfs;
use std::fs;
use std::path::Path;

/// The folder, the file that U-Boot starts, and one that is there once Baton is the default.
const FOLDER: &str = "/boot/baton";
const IMAGE: &str = "/boot/baton/baton-linux.img";
const CONFIRMED: &str = "/boot/baton/confirmed";
/// Bytes of the file beside its kernel, and some to spare.
const BESIDE: u64 = 8 << 20;

/// Returns how to install Baton.
pub(super) fn install(root: &Root, wish: Wish) -> Result<Work, Error> {
    let conf = menu(root)?;
    let present = extlinux::without(&conf);
    let kernel = extlinux::present(&present).map(|present| present.kernel.to_owned());
    let kernel = kernel.ok_or_else(|| {
        Error::Refused(format!(
            "{} has no entry with a kernel as its default",
            extlinux::FILE
        ))
    })?;
    let is_default = wish == Wish::Confirm || root.exists(CONFIRMED);
    // U-Boot sees the partition that the file is on, Linux may see it in another place.
    let (folder, name) = kernel.rsplit_once('/').unwrap_or(("", &kernel));
    let file = format!("/boot/{name}");
    if !root.exists(&file) {
        return Err(Error::Refused(format!(
            "{} starts {kernel}, and there is no {file}",
            extlinux::FILE
        )));
    }
    let image = Combined {
        monitor: MONITOR.into(),
        kernel: file.into(),
    };
    let content = image.bytes(root)?;
    let mut plan = Plan::default();
    if !root.exists(FOLDER) {
        plan.push(Step::MakeFolder(FOLDER.into()));
    }
    if root.bytes(IMAGE).as_deref() != Some(content.as_slice()) {
        check_room(root, content.len() as u64)?;
        plan.push(Step::Combine {
            path: IMAGE.into(),
            image,
        });
    }
    if is_default && !root.exists(CONFIRMED) {
        write(&mut plan, CONFIRMED, "");
    }
    let new = extlinux::with(
        &conf,
        &format!("{folder}/baton/baton-linux.img"),
        is_default,
    );
    let new = new.unwrap_or_else(|| conf.clone());
    if new != conf {
        write(&mut plan, extlinux::FILE, &new);
    }
    let then = match is_default {
        true => "U-Boot starts Baton at each boot",
        false => {
            "choose \"Baton\" in U-Boot's menu, or run `baton try`; after it, `baton install --confirm` makes it \
             the default"
        }
    };
    Ok(Work {
        plan,
        then: then.into(),
    })
}

/// Returns how to make anew what was installed, after kernels came or went; `None` if nothing was.
pub(super) fn refresh(root: &Root) -> Result<Option<Work>, Error> {
    match root.exists(IMAGE) && root.exists(extlinux::FILE) {
        true => install(root, Wish::Once).map(Some),
        false => Ok(None),
    }
}

/// Returns how to take Baton out.
pub(super) fn uninstall(root: &Root) -> Result<Work, Error> {
    let conf = menu(root)?;
    let mut plan = Plan::default();
    let new = extlinux::without(&conf);
    // First the entry: U-Boot never has one that leads nowhere.
    if new != conf {
        write(&mut plan, extlinux::FILE, &new);
    }
    for file in [CONFIRMED, IMAGE] {
        if root.exists(file) {
            plan.push(Step::Remove(file.into()));
        }
    }
    if root.exists(FOLDER) {
        plan.push(Step::RemoveFolder(FOLDER.into()));
    }
    Ok(Work::removal(plan))
}

/// Returns U-Boot's menu as it is.
fn menu(root: &Root) -> Result<String, Error> {
    let path = Path::new(extlinux::FILE);
    let conf = fs::read_to_string(root.path(path)).map_err(|error| Error::File {
        path: path.into(),
        error,
    })?;
    match extlinux::obstacle(&conf) {
        Some(why) => Err(Error::Refused(format!("{}: {why}", extlinux::FILE))),
        None => Ok(conf),
    }
}

fn write(plan: &mut Plan, path: &str, content: &str) {
    plan.push(Step::Write {
        path: path.into(),
        content: content.as_bytes().to_vec(),
    });
}

fn check_room(root: &Root, size: u64) -> Result<(), Error> {
    let free =
        statvfs(root.path("/boot")).map_or(u64::MAX, |space| space.f_bavail * space.f_frsize);
    match free < size + BESIDE {
        true => Err(Error::Refused(format!(
            "/boot is full: {} KiB are free, {} KiB are needed",
            free >> 10,
            (size + BESIDE) >> 10
        ))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{install, installed, uninstall};
    use super::*;
    use crate::check::tests::server;
    use crate::image::tests::image;
    use crate::plan::fake::Programs;
    use crate::root::fake::System;

    const MENU: &str = "default l0\n\nlabel l0\n\tlinux /boot/vmlinuz-1\n\tappend quiet\n";

    fn board() -> System {
        server()
            .with(extlinux::FILE, MENU)
            .with("/boot/vmlinuz-1", image(0x2000, 0x5000, 2))
            .with(MONITOR, image(0x1000, 0x30_0000, 1))
    }

    fn done(system: &System, work: Result<Work, Error>) {
        let plan = work.expect("a plan").plan;
        plan.execute(&system.root(), &mut Programs::default())
            .expect("done");
    }

    #[test]
    fn is_installed_confirmed_and_gone_again() {
        let system = board();
        let before = system.files();
        done(&system, install(&system.root(), Wish::Once));
        let text = system.root().text(extlinux::FILE).expect("a menu");
        assert!(text.starts_with("default l0\n"), "{text}");
        assert!(
            text.contains("\tlinux /boot/baton/baton-linux.img\n\tappend quiet\n"),
            "{text}"
        );
        assert!(system.root().exists(IMAGE));
        assert_eq!(installed(&system.root()).as_deref(), Some(extlinux::FILE));
        let again = install(&system.root(), Wish::Once).expect("a plan");
        assert_eq!(again.plan, Plan::default(), "{}", again.plan);

        let table = crate::evidence::fake::table(None, "", &[]);
        system.put("/sys/firmware/acpi/tables/BATN", table);
        done(&system, install(&system.root(), Wish::Confirm));
        let text = system.root().text(extlinux::FILE).expect("a menu");
        assert!(text.contains("\ndefault baton\n"), "{text}");
        let again = install(&system.root(), Wish::Confirm).expect("a plan");
        assert_eq!(again.plan, Plan::default(), "{}", again.plan);

        fs::remove_file(system.root().path("/sys/firmware/acpi/tables/BATN")).expect("a table");
        done(&system, uninstall(&system.root()));
        assert_eq!(system.files(), before);
        assert!(!system.root().exists(FOLDER));
        assert_eq!(
            uninstall(&system.root()).expect("a plan").plan,
            Plan::default()
        );
    }

    #[test]
    fn a_new_kernel_is_followed_where_baton_is_installed_and_nowhere_else() {
        let system = board();
        let refreshed = install(&system.root(), Wish::Refresh).expect("a plan");
        assert_eq!(refreshed.plan, Plan::default());
        done(&system, install(&system.root(), Wish::Once));
        // u-boot-menu writes the menu anew.
        system.put("/boot/vmlinuz-2", image(0x3000, 0x6000, 3));
        system.put(extlinux::FILE, MENU.replace("vmlinuz-1", "vmlinuz-2"));
        done(&system, install(&system.root(), Wish::Refresh));
        let text = system.root().text(extlinux::FILE).expect("a menu");
        assert!(extlinux::has_baton(&text), "{text}");
        let image = system.root().bytes(IMAGE).expect("an image");
        assert!(image.ends_with(&[3; 0x100]), "the new kernel is in it");
    }

    #[test]
    fn says_what_is_missing() {
        let system = board();
        system.put(extlinux::FILE, "default l0\n");
        let error = install(&system.root(), Wish::Once)
            .expect_err("no kernel")
            .to_string();
        assert!(
            error.ends_with("has no entry with a kernel as its default"),
            "{error}"
        );
        system.put(extlinux::FILE, MENU.replace("vmlinuz-1", "vmlinuz-9"));
        let error = install(&system.root(), Wish::Once)
            .expect_err("no kernel")
            .to_string();
        assert!(
            error.ends_with("starts /boot/vmlinuz-9, and there is no /boot/vmlinuz-9"),
            "{error}"
        );
        let script = server().with("/boot/boot.scr", "");
        let error = install(&script.root(), Wish::Once)
            .expect_err("a script")
            .to_string();
        assert!(
            error.contains("/boot/boot.scr, which is not changed"),
            "{error}"
        );
    }
}
