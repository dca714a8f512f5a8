// SPDX-License-Identifier: Apache-2.0
//! Boards that QEMU 7.2 models, as `make board` runs them: Debian's kernel, its kexec, the next kernel.

use std::path::Path;
use std::process::Command;

/// Runs `platform/host/run/board.sh`, and returns the console.
#[track_caller]
fn run(board: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../platform/host/run/board.sh");
    let output = Command::new(&script)
        .arg(board)
        .env("TIMEOUT", "240")
        .env("CARGO_TARGET_DIR", baton_qemu::paths::target())
        .env("BATON_CACHE", baton_qemu::paths::cache())
        .env("BATON_LINUX", baton_qemu::paths::linux())
        .env("BATON_INITRAMFS", baton_qemu::paths::initramfs())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    let console = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{board}: {}\n{console}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        !console.contains("baton: error: "),
        "{board}: expected no error of the monitor\n{console}"
    );
    console
}

#[track_caller]
fn expect(console: &str, pattern: &str) {
    assert!(
        console.contains(pattern),
        "expected \"{pattern}\", seen no such line\n{console}"
    );
}

/// GICv2, Cadence's UART, memory from address 0 on.
#[test]
fn zynqmp_kexecs() {
    let console = run("zynqmp");
    expect(&console, "4 of 4 CPUs taken, 0 missing, 0 steps failed");
    // kexec puts the next kernel there.
    expect(&console, "baton: hooks: kernel at 0x0, patched");
}

#[test]
fn versal_kexecs() {
    let console = run("versal");
    expect(&console, "2 of 2 CPUs taken, 0 missing, 0 steps failed");
}

/// No GIC, no PSCI: the CPUs come from a spin table.
#[test]
fn raspi3_kexecs() {
    let console = run("raspi3");
    expect(
        &console,
        "baton: no PSCI firmware: CPUs come from spin tables",
    );
    expect(&console, "psci: Using PSCI v0.1 Function IDs from DT");
}
