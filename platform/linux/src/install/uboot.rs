// SPDX-License-Identifier: Apache-2.0
//! Baton in what U-Boot starts the system by: an entry of its menu, or a way in its script, that starts one file
//! of Baton with the kernel behind it.
//!
//! U-Boot keeps nothing from one boot to the next that Linux could write on every board, so there is no entry
//! for one boot: Baton starts once if it is chosen at the console, or by `baton try`; once that is confirmed, it is
//! the default.

mod start;

use super::work::{Wish, Work};
use crate::Error;
use crate::image::{Combined, MONITOR};
use crate::plan::{Plan, Step};
use crate::root::Root;
use rustix::fs::statvfs;
pub(super) use start::Start;

/// The folder, the file that U-Boot starts, and one that is there once Baton is the default.
const FOLDER: &str = "/boot/baton";
const IMAGE: &str = "/boot/baton/baton-linux.img";
const CONFIRMED: &str = "/boot/baton/confirmed";
/// Bytes of the file beside its kernel, and some to spare.
const BESIDE: u64 = 8 << 20;

/// Returns how to install Baton.
pub(super) fn install(root: &Root, start: Start, wish: Wish) -> Result<Work, Error> {
    let present = start.read(root)?;
    let is_default = wish == Wish::Confirm || root.exists(CONFIRMED);
    let kernel = start.kernel(&present)?;
    // U-Boot sees the partition that the file is on, Linux may see it in another place.
    let name = kernel
        .rsplit_once('/')
        .map_or(kernel.as_str(), |(_, name)| name);
    let file = format!("/boot/{name}");
    if !root.exists(&file) {
        return Err(Error::Refused(format!(
            "{} starts {kernel}, and there is no {file}",
            start.file()
        )));
    }
    let new = start.with(&present, is_default)?;
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
        write(&mut plan, CONFIRMED, Vec::new());
    }
    let then = start.next(&new, is_default);
    if new != present {
        write(&mut plan, start.file(), new);
    }
    Ok(Work { plan, then })
}

/// Returns how to make anew what was installed, after kernels came or went; `None` if nothing was.
pub(super) fn refresh(root: &Root) -> Result<Option<Work>, Error> {
    match Start::find(root) {
        Some(start) if root.exists(IMAGE) => install(root, start, Wish::Once).map(Some),
        _ => Ok(None),
    }
}

/// Returns how to take Baton out.
pub(super) fn uninstall(root: &Root, start: Start) -> Result<Work, Error> {
    let present = start.read(root)?;
    let mut plan = Plan::default();
    let new = start.without(&present);
    // First the entry: U-Boot never has one that leads nowhere.
    if new != present {
        write(&mut plan, start.file(), new);
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

fn write(plan: &mut Plan, path: &str, content: Vec<u8>) {
    plan.push(Step::Write {
        path: path.into(),
        content,
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
mod tests;
