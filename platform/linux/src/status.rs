// SPDX-License-Identifier: Apache-2.0
//! `baton status`: whether the kernel runs under Baton, and what Baton does for it.

use crate::Error;
use crate::evidence::Evidence;
use crate::hooks::Hooks;
use crate::install;
use crate::root::Root;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};

/// What the monitor does about SMMUs while a kernel runs.
const FENCE: &str =
    "fence: devices behind one reach the guest's memory alone, all others the monitor's too";
const NO_FENCE: &str = "no fence: devices can reach all memory, the monitor's too";

/// What is known of Baton.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether the kernel runs under it.
    pub under_baton: bool,
    /// What starts it at a boot, if it runs without it all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed: Option<String>,
    /// What it says, if so.
    #[serde(flatten)]
    pub baton: Option<Baton>,
}

/// What Baton says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Baton {
    /// Its version.
    pub version: String,
    /// The number of the kernel that runs; the first one is 0.
    pub generation: u64,
    /// Whether the next kexec is Baton's.
    pub hooks_in_place: bool,
    /// The same in words, with the reason why not.
    pub hooks: String,
    /// Its options.
    pub options: String,
    /// What it does about SMMUs while a kernel runs.
    pub smmu: &'static str,
    /// Where Linux shows this.
    pub shown_by: &'static str,
}

impl Status {
    /// Reads it off the system.
    ///
    /// # Errors
    ///
    /// [`Error`] if Baton is there, and what it shows cannot be read.
    pub fn find(root: &Root) -> Result<Self, Error> {
        let Some(evidence) = Evidence::find(root)? else {
            return Ok(Self {
                under_baton: false,
                installed: install::installed(root),
                baton: None,
            });
        };
        let hooks = Hooks::find(&evidence);
        let value = |name| evidence.value(name).unwrap_or_default().to_owned();
        Ok(Self {
            under_baton: true,
            installed: None,
            baton: Some(Baton {
                version: value("version"),
                generation: evidence
                    .times
                    .as_ref()
                    .map_or(0, |times| times.header.generation),
                hooks_in_place: hooks == Hooks::InPlace,
                hooks: hooks.to_string(),
                options: value("options"),
                smmu: smmu(&evidence),
                shown_by: evidence.place,
            }),
        })
    }

    /// Returns the exit code: 0 if the next kexec is Baton's, 1 if it is not, 2 if the kernel runs without
    /// Baton.
    pub fn exit_code(&self) -> u8 {
        match &self.baton {
            Some(baton) if baton.hooks_in_place => 0,
            Some(_) => 1,
            None => 2,
        }
    }
}

/// The option asks for it, and the log says if there is no SMMU that can.
fn smmu(evidence: &Evidence) -> &'static str {
    let options = evidence.value("options").unwrap_or_default();
    let is_asked_for = options.split(' ').any(|word| word == "smmu=fence");
    let mut log = evidence.log.text.lines();
    match is_asked_for && !log.any(|line| line.starts_with("no SMMU protection")) {
        true => FENCE,
        false => NO_FENCE,
    }
}

impl Display for Status {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let Some(baton) = &self.baton else {
            writeln!(f, "this kernel runs without Baton")?;
            return match &self.installed {
                Some(place) => writeln!(
                    f,
                    "installed   {place}: it starts Baton at the next boot, or did not, and the console says why"
                ),
                None => Ok(()),
            };
        };
        let options = match baton.options.as_str() {
            "" => "none",
            options => options,
        };
        writeln!(f, "this kernel runs under Baton {}", baton.version)?;
        writeln!(f, "generation  {}", baton.generation)?;
        writeln!(f, "hooks       {}", baton.hooks)?;
        writeln!(f, "options     {options}")?;
        writeln!(f, "SMMU        {}", baton.smmu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fake;
    use crate::root::fake::System;

    const TABLE: &str = "/sys/firmware/acpi/tables/BATN";
    const HOOKED: &str = "hooks: kernel at 0x40200000, patched at offsets 0x1 and 0x2 in 14 us";

    #[test]
    fn says_what_is_there_and_ends_with_a_code_for_scripts() {
        let times = fake::times();
        let table = fake::table(Some(&times), "wait=20 log=debug", &[HOOKED]);
        let status = Status::find(&System::new().with(TABLE, table).root()).expect("whole");
        let text = status
            .to_string()
            .replace(env!("CARGO_PKG_VERSION"), "X.Y.Z");
        let expected = "this kernel runs under Baton X.Y.Z\n\
                        generation  2\n\
                        hooks       in place: the next kexec is Baton's\n\
                        options     wait=20 log=debug\n\
                        SMMU        no fence: devices can reach all memory, the monitor's too\n";
        assert_eq!((text.as_str(), status.exit_code()), (expected, 0));
    }

    #[test]
    fn a_fence_is_there_if_it_was_asked_for_and_an_smmu_can() {
        const NONE: &str = "no SMMU protection: DMA and ITS commands can reach the monitor";
        for (options, log, expected) in [
            ("smmu=fence", HOOKED, FENCE),
            ("wait=20 smmu=fence", NONE, NO_FENCE),
            ("smmu=bypass", HOOKED, NO_FENCE),
            ("", HOOKED, NO_FENCE),
        ] {
            let table = fake::table(None, options, &[log]);
            let status = Status::find(&System::new().with(TABLE, table).root()).expect("whole");
            let seen = status.baton.expect("it is there").smmu;
            assert_eq!(seen, expected, "{options:?} with {log:?}");
        }
    }

    #[test]
    fn codes_tell_baton_without_hooks_from_no_baton() {
        let table = fake::table(
            None,
            "",
            &["hooks: none, kexec takes the guest's own path: other CPUs are running"],
        );
        let status = Status::find(&System::new().with(TABLE, table).root()).expect("whole");
        assert_eq!(status.exit_code(), 1);
        assert!(
            status
                .to_string()
                .contains(": other CPUs are running\noptions     none\n"),
            "{status}"
        );
        let none = Status::find(&System::new().root()).expect("nothing");
        assert_eq!(
            (none.exit_code(), none.to_string().as_str()),
            (2, "this kernel runs without Baton\n")
        );
    }

    #[test]
    fn says_that_what_is_installed_did_not_start() {
        let menu = "label l\nlinux /Image\n# baton: begin\nlabel baton\n# baton: end\n";
        let system = System::new().with(crate::extlinux::FILE, menu);
        let status = Status::find(&system.root()).expect("nothing");
        let text = status.to_string();
        assert!(
            text.starts_with(
                "this kernel runs without Baton\ninstalled   /boot/extlinux/extlinux.conf: "
            ),
            "{text}"
        );
        assert_eq!(status.exit_code(), 2);
    }

    #[test]
    fn programs_get_the_same() {
        let table = fake::table(None, "", &[HOOKED]);
        let status = Status::find(&System::new().with(TABLE, table).root()).expect("whole");
        let json = serde_json::to_value(&status).expect("JSON");
        assert_eq!(json["hooks_in_place"], true);
        assert_eq!(json["generation"], 0);
        let none = Status::find(&System::new().root()).expect("nothing");
        assert_eq!(
            serde_json::to_string(&none).expect("JSON"),
            r#"{"under_baton":false}"#
        );
    }
}
