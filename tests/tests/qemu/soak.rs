// SPDX-License-Identifier: Apache-2.0
//! `make soak', for a few minutes.

use baton_tests::Scratch;
use std::process::Command;

/// Thirty kexecs of the probe at 80 vCPUs, and two of Debian at 8.
#[test]
fn thirty_kexecs() {
    let scratch = Scratch::new("soak");
    let tool = baton_qemu::paths::tool();
    let run = Command::new(&tool)
        .arg("soak")
        .env("N", "30")
        .env("BATON_SOAK", scratch.path("."))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", tool.display()));
    let text = [run.stdout, run.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(run.status.success(), "{}{}", text[0], text[1]);
    let report = scratch.read(&scratch.path("report.md"));
    let report = String::from_utf8_lossy(&report);
    for row in [
        "| probe | 80 | 30 | 30 | 1 | 30 |",
        "| linux | 8 | 2 | 2 | 1 | 2 |",
    ] {
        assert!(report.contains(row), "expected {row:?}, seen\n{report}");
    }
}
