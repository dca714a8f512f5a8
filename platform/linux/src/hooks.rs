// SPDX-License-Identifier: Apache-2.0
//! Whether the two calls of `kernel_kexec()` are patched, so that the next kexec is Baton's: the log says it, where
//! Linux shows that as it is now.

use crate::evidence::Evidence;
use std::fmt::{self, Display, Formatter};

/// What is known of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hooks {
    /// They are in place.
    InPlace,
    /// They are not, for this reason.
    None(String),
    /// It cannot be seen from here, for this reason.
    Unknown(&'static str),
}

impl Display for Hooks {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Self::InPlace => f.write_str("in place: the next kexec is Baton's"),
            Self::None(why) => write!(f, "none, kexec takes the kernel's own path: {why}"),
            Self::Unknown(why) => write!(f, "not known: {why}"),
        }
    }
}

impl Hooks {
    /// Looks for them in the system that `evidence` is of.
    pub fn find(evidence: &Evidence) -> Self {
        if let Some(why) = evidence.log.old {
            return Self::Unknown(why);
        }
        let mut lines = evidence.log.text.lines().rev();
        match lines.find_map(|line| line.strip_prefix("hooks: ")) {
            Some(line) if line.starts_with("kernel at ") => Self::InPlace,
            Some(line) if line.starts_with("off") => Self::None("hooks=off".into()),
            Some(line) => {
                let why = line.split_once(": ").map_or(line, |(_, why)| why);
                Self::None(why.to_owned())
            }
            None => Self::Unknown("the log does not have it any more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fake;
    use crate::root::fake::System;

    const TREE: &str = "/proc/device-tree/baton/report";
    const LIVE: &str = "/sys/bus/platform/devices/7fe51000.baton-log/7fe51000.sram";

    fn find(system: &System) -> Hooks {
        Hooks::find(
            &Evidence::find(&system.root())
                .expect("whole")
                .expect("Baton"),
        )
    }

    #[test]
    fn the_last_line_of_them_says_it() {
        let line = "hooks: kernel at 0x40200000, patched at offsets 0x187b28 and 0x187b38 in 14 us";
        let none = "hooks: none, kexec takes the guest's own path: other CPUs are running";
        for (lines, expected) in [
            (&[none, line][..], Hooks::InPlace),
            (&[line, none], Hooks::None("other CPUs are running".into())),
            (
                &["hooks: off: kexec takes the kernel's own path"],
                Hooks::None("hooks=off".into()),
            ),
            (
                &["Baton"],
                Hooks::Unknown("the log does not have it any more"),
            ),
        ] {
            let system = System::new()
                .with(TREE, fake::text(None, "", &[line]))
                .with(LIVE, fake::log(lines));
            assert_eq!(find(&system), expected);
        }
    }

    #[test]
    fn a_log_from_before_the_kernel_does_not() {
        let line = "hooks: kernel at 0x40200000, patched at offsets 0x187b28 and 0x187b38 in 14 us";
        let system = System::new().with(TREE, fake::text(None, "", &[line]));
        let Hooks::Unknown(why) = find(&system) else {
            panic!("expected not to know, seen {:?}", find(&system));
        };
        assert!(why.contains("CONFIG_SRAM"), "{why}");
    }
}
