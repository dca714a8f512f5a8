// SPDX-License-Identifier: Apache-2.0
//! What U-Boot starts the system by.

use crate::bootscript::ScriptError;
use crate::root::Root;
use crate::{Error, bootscript, extlinux};

/// The file of Baton, in the folder of the kernel.
const IMAGE: &str = "baton/baton-linux.img";

/// What U-Boot looks for in the boot partition (U-Boot, doc/develop/distro.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A menu, `extlinux.conf`.
    Menu,
    /// A script, `boot.scr`.
    Script,
}

impl Start {
    /// Returns what is there: the first in the order in which U-Boot looks.
    pub fn find(root: &Root) -> Option<Self> {
        let ways = [Self::Menu, Self::Script];
        ways.into_iter().find(|way| root.exists(way.file()))
    }

    /// Returns its file.
    pub fn file(self) -> &'static str {
        match self {
            Self::Menu => extlinux::FILE,
            Self::Script => bootscript::FILE,
        }
    }

    /// Reads its file.
    pub fn read(self, root: &Root) -> Result<Vec<u8>, Error> {
        let content = root.needed(self.file())?;
        let obstacle = match self {
            Self::Menu => extlinux::obstacle(text(&content)?),
            Self::Script => None,
        };
        match obstacle {
            Some(why) => Err(Error::Refused(format!("{}: {why}", self.file()))),
            None => Ok(content),
        }
    }

    /// Returns whether `content` of its file starts Baton.
    pub fn has_baton(self, content: &[u8]) -> bool {
        match self {
            Self::Menu => extlinux::has_baton(&String::from_utf8_lossy(content)),
            Self::Script => bootscript::has_baton(content),
        }
    }

    /// Returns the kernel that starts without Baton, as U-Boot finds it.
    pub fn kernel(self, content: &[u8]) -> Result<String, Error> {
        match self {
            Self::Menu => {
                let menu = extlinux::without(text(content)?);
                let present = extlinux::present(&menu).ok_or_else(nothing_starts)?;
                Ok(present.kernel.to_owned())
            }
            Self::Script => bootscript::present(content).map_err(refused),
        }
    }

    /// Returns `content` of its file with Baton in it.
    pub fn with(self, content: &[u8], is_default: bool) -> Result<Vec<u8>, Error> {
        match self {
            Self::Menu => {
                let kernel = self.kernel(content)?;
                let folder = kernel.rsplit_once('/').map(|(folder, _)| folder);
                let image = folder.map_or(IMAGE.into(), |folder| format!("{folder}/{IMAGE}"));
                let menu = extlinux::with(text(content)?, &image, is_default);
                menu.map(String::into_bytes).ok_or_else(nothing_starts)
            }
            Self::Script => bootscript::with(content, IMAGE, is_default).map_err(refused),
        }
    }

    /// Returns `content` of its file without Baton.
    pub fn without(self, content: &[u8]) -> Vec<u8> {
        match (self, str::from_utf8(content)) {
            (Self::Menu, Ok(menu)) => extlinux::without(menu).into_bytes(),
            (Self::Menu, Err(_)) => content.to_vec(),
            (Self::Script, _) => bootscript::without(content).to_vec(),
        }
    }

    /// Returns what comes next, when its file has this content.
    pub fn next(self, content: &[u8], is_default: bool) -> String {
        let prompt = |set: &str| format!("`setenv {set}; boot` at U-Boot's prompt");
        let menu = String::from_utf8_lossy(content);
        let choice = match (self, is_default) {
            (Self::Menu, false) if extlinux::asks(&menu) => "\"Baton\" in U-Boot's menu".into(),
            (Self::Menu, false) => prompt("pxe_label_override baton"),
            (Self::Menu, true) => {
                let without = extlinux::without(&menu);
                let label = extlinux::default(&without).unwrap_or_default();
                prompt(&format!("pxe_label_override {label}"))
            }
            (Self::Script, false) => prompt("baton on"),
            (Self::Script, true) => prompt("baton off"),
        };
        match is_default {
            true => format!("U-Boot starts Baton at each boot; {choice} starts once without it"),
            false => format!(
                "{choice} starts Baton once, and so does `baton try`; under it, `baton install --confirm` makes it \
                 the default"
            ),
        }
    }
}

fn text(content: &[u8]) -> Result<&str, Error> {
    let why = |_| Error::Refused(format!("{} is not text", extlinux::FILE));
    str::from_utf8(content).map_err(why)
}

fn nothing_starts() -> Error {
    Error::Refused(format!(
        "{} has no entry with a kernel as its default",
        extlinux::FILE
    ))
}

fn refused(error: ScriptError) -> Error {
    Error::Refused(format!(
        "{}: {error}; put Baton into it by hand (platform/qemu-virt/README.md)",
        bootscript::FILE
    ))
}
