// SPDX-License-Identifier: Apache-2.0
//! The package on an installed Debian: tried, installed for good, used and removed, as README says it.

use baton_qemu::{Disk, Machine, paths, script_disk};
use baton_tests::{Boot, Scratch, boot_command, uefi_machine};
use std::fs;
use std::path::PathBuf;

/// What the Debian runs each time that it has come up, and the sections of README that it follows.
const SCRIPT: &str = "tests/guest/installed";
const SECTIONS: [&str; 2] = ["Try it on your server", "Remove it"];

/// The package that `make deb` has made.
pub fn package() -> PathBuf {
    let folder = paths::target().join("deb");
    let name = format!("baton_{}_arm64.deb", env!("CARGO_PKG_VERSION"));
    let package = folder.join(name);
    assert!(
        package.exists(),
        "expected {}, which `make deb` makes",
        package.display()
    );
    package
}

/// The commands of a section of README.
fn commands(readme: &str, section: &str) -> Vec<String> {
    let (_, text) = readme
        .split_once(&format!("\n## {section}\n"))
        .unwrap_or_else(|| panic!("expected a section \"{section}\" in README.md, seen none"));
    let text = text.split("\n## ").next().unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .map(|line| {
            line.split(" #")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned()
        })
        .collect()
}

/// Expects in a script each command of some sections of README.
pub fn expect_to_follow_readme(script: &str, sections: &[&str]) {
    let read = |name: &str| {
        fs::read_to_string(paths::root().join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let (readme, text) = (read("README.md"), read(script));
    for section in sections {
        let commands = commands(&readme, section);
        assert!(commands.len() > 2, "expected commands, seen {commands:?}");
        for command in commands {
            let line = format!("must 0 '{command}'\n");
            assert!(
                text.contains(&line),
                "expected {line:?} in {script}, seen none"
            );
        }
    }
}

/// Expects systems that came up one after another, each with 4 CPUs and no failed unit, and all as it was in the end.
pub fn expect_systems(boot: &Boot, count: u32) {
    boot.expect_no("guest: FAIL");
    for step in 0..count {
        let line = boot.expect(&format!("guest: step {step}: "));
        if !line.contains("CPUs online: 4, failed units: 0") {
            boot.fail(format_args!(
                "expected 4 CPUs and no failed unit, seen {line:?}"
            ));
        }
    }
    boot.expect("guest: all is as before");
    boot.expect_end();
}

#[test]
fn the_script_follows_readme() {
    expect_to_follow_readme(SCRIPT, &SECTIONS);
}

/// Runs a script in the Debian of `make distro`, the package beside it, until it switches the machine off after
/// `systems` systems, each of which came up with all its CPUs and all its units.
fn run(name: &str, systems: u32) -> Boot {
    let scratch = Scratch::new(name);
    let folder = paths::root().join("tests/guest");
    let disk = script_disk(
        &scratch.path("script.tar"),
        &folder.join(name),
        &[&folder.join("common"), &package()],
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let machine = Machine {
        monitor: None,
        disks: vec![disk],
        end_on_reset: false,
        extra: vec!["-snapshot".into()],
        ..uefi_machine(4, &scratch)
    };
    let uefi = machine.uefi.clone().expect("a machine with firmware");
    let debian = Disk {
        file: paths::cache().join("distro/bookworm.img"),
        serial: "debian",
        writable: true,
    };
    let command = machine.command_with_installed(&uefi, debian);
    let boot = boot_command(command.unwrap_or_else(|error| panic!("{error}")), 2400);
    expect_systems(&boot, systems);
    boot
}

/// Seven systems come up one after another: stock, tried, kexecked by Baton, started by it once and for good,
/// kexecked, and stock.
#[test]
#[ignore = "long: make test-long"]
fn tried_installed_and_removed() {
    run("installed", 7);
}

/// Five systems come up: stock, started by a Baton whose package is gone, and stock three times, as Baton's file is
/// cut off, then garbage, then starts a loader that is gone.
#[test]
#[ignore = "long: make test-long"]
fn refused_or_fails_and_all_is_as_before() {
    let boot = run("refused", 5);
    boot.expect_lines(2, "BdsDxe: failed to load Boot");
    boot.expect_error(&[r"next loader \EFI\gone.efi"]);
}
