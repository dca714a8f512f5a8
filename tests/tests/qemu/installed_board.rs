// SPDX-License-Identifier: Apache-2.0
//! The package on an installed Debian that U-Boot starts, as on a board: by its menu, as README says it, and by a
//! script.

use crate::installed::{expect_systems, expect_to_follow_readme, package};
use baton_qemu::{Disk, Machine, paths, script_disk};
use baton_tests::{Boot, Scratch, boot_answered, machine};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the Debian runs each time that it has come up, and the sections of README that it follows.
const SCRIPT: &str = "tests/guest/board";
const SECTIONS: [&str; 2] = ["Try it on your board", "Remove it"];

/// The last line of U-Boot's before it waits for a key.
const BEFORE_THE_PROMPT: &str = "Net:   ";

#[test]
fn the_script_follows_readme() {
    expect_to_follow_readme(SCRIPT, &SECTIONS);
}

/// Seven systems come up one after another: stock, tried, kexecked by Baton, started by it once and for good,
/// kexecked, and stock. Debian writes U-Boot's menu anew twice meanwhile.
#[test]
#[ignore = "long: make test-long"]
fn tried_installed_and_removed_where_u_boot_has_a_menu() {
    let menu = ["tests/guest/extlinux.conf", "extlinux", "extlinux.conf"];
    let u_boot_menu = paths::cache().join("u-boot-menu/u-boot-menu.deb");
    let boot = boot_board(menu, SCRIPT, &[&u_boot_menu]);
    expect_systems(&boot, 7);
    boot.expect_lines(3, "P: Updating /boot/extlinux/extlinux.conf");
}

/// Five systems: stock, with Baton once and at each boot, with Baton left out at U-Boot's prompt, and without its file.
#[test]
#[ignore = "long: make test-long"]
fn installed_and_removed_where_u_boot_has_a_script() {
    let script = ["tests/guest/boot.cmd", ".", "boot.scr"];
    let boot = boot_board(script, "tests/guest/board-script", &[]);
    expect_systems(&boot, 5);
}

/// Starts the Debian of `make distro` by U-Boot, with a file in its /boot, and a script that runs in each system. What
/// that says is to be typed is typed at the next prompt of U-Boot's.
fn boot_board(file: [&str; 3], script: &str, beside: &[&Path]) -> Boot {
    let scratch = Scratch::new("board");
    let disk = board_disk(&scratch, file);
    let (common, package) = (paths::root().join("tests/guest/common"), package());
    let all = [&[common.as_path(), package.as_path()], beside].concat();
    let archive = scratch.path("script.tar");
    let script = script_disk(&archive, &paths::root().join(script), &all);
    let debian = Disk {
        file: disk,
        serial: "debian",
        writable: true,
    };
    let machine = Machine {
        monitor: None,
        // U-Boot looks at the first one alone.
        disks: vec![debian, script.unwrap_or_else(|error| panic!("{error}"))],
        end_on_reset: false,
        ..machine(4)
    };
    let command = machine
        .command_with_firmware(&paths::u_boot())
        .unwrap_or_else(|error| panic!("{error}"));
    let mut typed = None;
    boot_answered(command, 2400, |line| {
        if let Some((_, text)) = line.split_once("guest: type: ") {
            typed = Some(text.trim().to_owned());
        }
        let prompts = line.starts_with(BEFORE_THE_PROMPT);
        // The first key stops U-Boot.
        prompts.then(|| typed.take().map(|text| format!("\n{text}\n")))?
    })
}

/// Makes the disk of a board, with a file of the project's in /boot.
fn board_disk(scratch: &Scratch, [file, folder, name]: [&str; 3]) -> PathBuf {
    let output = scratch.path("board.img");
    let status = Command::new(paths::guest_script("board-disk.sh"))
        .arg(paths::cache().join("distro/bookworm.img"))
        .arg(&output)
        .arg(paths::root().join(file))
        .args([folder, name])
        .status();
    assert!(
        status.as_ref().is_ok_and(|status| status.success()),
        "expected board-disk.sh to make a disk, seen {status:?}"
    );
    output
}
