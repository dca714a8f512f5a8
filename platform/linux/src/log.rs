// SPDX-License-Identifier: Apache-2.0
//! `baton log`: what the monitor said, as far as Linux shows it.

use crate::Error;
use crate::evidence::Evidence;
use crate::root::Root;

/// Returns the last lines of the monitor's log.
///
/// # Errors
///
/// [`Error`] if the kernel runs without Baton, or what that shows cannot be read.
pub fn log(root: &Root) -> Result<String, Error> {
    let evidence = Evidence::find(root)?.ok_or(Error::WithoutBaton)?;
    Ok(evidence.log)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fake;
    use crate::root::fake::System;

    #[test]
    fn has_the_lines_as_they_are() {
        let text = fake::text(None, "", &["Baton 0.2.0: 2 CPUs", "warning: x"]);
        let system = System::new().with("/proc/device-tree/baton/report", text);
        assert_eq!(
            log(&system.root()).expect("a log"),
            "Baton 0.2.0: 2 CPUs\nwarning: x\n"
        );
        let error = log(&System::new().root())
            .expect_err("no Baton")
            .to_string();
        assert_eq!(
            error,
            "this kernel runs without Baton: there is no report, and no log"
        );
    }
}
