// SPDX-License-Identifier: Apache-2.0
//! `baton log`: what the monitor said, as far as Linux shows it.

use crate::Error;
use crate::evidence::Evidence;
use crate::live_log::Log;
use crate::root::Root;

/// Returns the monitor's log.
///
/// # Errors
///
/// [`Error`] if the kernel runs without Baton, or what that shows cannot be read.
pub fn log(root: &Root) -> Result<Log, Error> {
    let evidence = Evidence::find(root)?.ok_or(Error::WithoutBaton)?;
    Ok(evidence.log)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fake;
    use crate::root::fake::System;

    const TREE: &str = "/proc/device-tree/baton/report";
    const LIVE: &str = "/sys/bus/platform/devices/7fe51000.baton-log/7fe51000.sram";

    #[test]
    fn has_the_lines_as_they_are_now() {
        let text = fake::text(None, "", &["Baton 0.3.0: 2 CPUs"]);
        let live = fake::log(&["Baton 0.3.0: 2 CPUs", "warning: x"]);
        let system = System::new().with(TREE, text).with(LIVE, live);
        let expected = Log {
            text: "Baton 0.3.0: 2 CPUs\nwarning: x\n".into(),
            old: None,
        };
        assert_eq!(log(&system.root()).expect("a log"), expected);
    }

    #[test]
    fn else_has_those_before_the_kernel_and_says_so() {
        let text = fake::text(None, "", &["Baton 0.3.0: 2 CPUs"]);
        let log = log(&System::new().with(TREE, text).root()).expect("a log");
        assert_eq!(log.text, "Baton 0.3.0: 2 CPUs\n");
        let why = log.old.expect("a reason");
        assert!(why.contains("CONFIG_SRAM"), "{why}");
    }

    #[test]
    fn without_baton_there_is_none() {
        let error = log(&System::new().root())
            .expect_err("no Baton")
            .to_string();
        assert_eq!(
            error,
            "this kernel runs without Baton: there is no report, and no log"
        );
    }
}
