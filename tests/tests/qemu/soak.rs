// SPDX-License-Identifier: Apache-2.0
//! `make soak', for a few minutes.

use baton_tests::Scratch;
use std::process::Command;

/// So many kexecs of the probe at 80 vCPUs, and a twentieth of it of Debian at 8.
#[track_caller]
fn soak(boot: &str, folder: &str, probe: u32) {
    let linux = probe.div_ceil(20);
    let scratch = Scratch::new(&format!("soak-{boot}"));
    let tool = baton_qemu::paths::tool();
    let run = Command::new(&tool)
        .arg("soak")
        .env("N", probe.to_string())
        .env("BOOT", boot)
        .env("BATON_SOAK", scratch.path("."))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", tool.display()));
    let text = [run.stdout, run.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(run.status.success(), "{}{}", text[0], text[1]);
    let report = scratch.read(&scratch.path(&format!("{folder}report.md")));
    let report = String::from_utf8_lossy(&report);
    for row in [
        format!("| probe | 80 | {probe} | {probe} | 1 | {probe} |"),
        format!("| linux | 8 | {linux} | {linux} | 1 | {linux} |"),
    ] {
        assert!(report.contains(&row), "expected {row:?}, seen\n{report}");
    }
}

#[test]
fn thirty_kexecs() {
    soak("kernel", "", 30);
}

#[test]
fn ten_kexecs_by_uefi() {
    soak("uefi", "uefi/", 10);
}
