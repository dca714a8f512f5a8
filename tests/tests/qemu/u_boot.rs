// SPDX-License-Identifier: Apache-2.0
//! U-Boot starts the monitor from a disk, by itself, in each way that boards are started.

use crate::linux::expect_carried;
use baton_qemu::{Disk, Machine, Module, layout, linux, paths, report};
use baton_tests::{Boot, Scratch, boot_modules, boot_u_boot, machine};

/// The monitor may take this long from its first instruction to the guest's.
const MOST_US: u64 = 25_000;
/// SYSTEM_OFF of PSCI: `movz w0, #0x8400, lsl #16`, `movk w0, #8`, `smc #0`.
const POWER_OFF: [u32; 3] = [0x52b0_8000, 0x7280_0100, 0xd400_0003];

fn with_card(way: &str, smp: u32) -> Machine {
    Machine {
        disks: vec![Disk {
            file: paths::card(way),
            serial: "card",
            writable: false,
        }],
        ..machine(smp)
    }
}

/// Starts from the card of one way, and expects Debian's kernel and the next one, each with all CPUs.
#[track_caller]
fn starts_by(way: &str, smp: u32, seconds: u64) -> Boot {
    starts(&with_card(way, smp), seconds)
}

#[track_caller]
fn starts(machine: &Machine, seconds: u64) -> Boot {
    let boot = boot_u_boot(machine, seconds);
    boot.expect("U-Boot 20");
    boot.expect_ok(linux::check(&boot, 1, machine.smp));
    expect_carried(&boot);
    boot.expect_ok(report::check_takeovers(&boot, 1));
    boot
}

#[test]
fn starts_by_a_script_with_booti() {
    starts_by("script", 4, 600).expect("Executing script");
}

#[test]
fn starts_by_a_script_with_booti_on_80_cpus() {
    starts_by("script", 80, 1200);
}

#[test]
fn starts_by_a_fit_with_bootm() {
    starts_by("fit", 4, 600).expect("Loading loadables from FIT Image");
}

#[test]
fn starts_by_a_fit_with_bootm_on_80_cpus() {
    starts_by("fit-80", 80, 1200);
}

#[test]
fn starts_by_extlinux() {
    starts_by("extlinux", 4, 600).expect("Retrieving file: /baton-linux.img");
}

#[test]
fn starts_by_extlinux_on_80_cpus() {
    starts_by("extlinux", 80, 1200);
}

#[test]
fn starts_over_the_network() {
    let mut machine = machine(4);
    machine.serve(&paths::tftp());
    starts(&machine, 600).expect("Filename 'baton.img'.");
}

/// A U-Boot that has no EL2, or leaves it, starts the monitor all the same.
#[test]
fn has_no_el2() {
    let boot = boot_u_boot(
        &Machine {
            el2: false,
            ..with_card("script", 4)
        },
        120,
    );
    boot.expect("U-Boot 20");
    boot.expect_error(&["EL1", "needs EL2", "boot loader"]);
    boot.expect_end();
}

/// The time is a count of instructions here, 1 ns each, as the host's clock says more of the host.
#[test]
fn the_monitor_adds_less_than_25_ms() {
    let scratch = Scratch::new("added");
    let code: Vec<u8> = POWER_OFF
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    let kernel = Module::Kernel {
        at: layout::KERNEL,
        file: scratch.write("kernel", &code),
        bootargs: String::new(),
    };
    let mut machine = machine(80);
    machine
        .extra
        .extend(["-icount", "shift=0,sleep=off"].map(str::to_owned));
    let boot = boot_modules(&machine, &[kernel], 120);
    let line = boot.expect("entering it after ");
    let taken = line
        .split_once("entering it after ")
        .and_then(|(_, rest)| rest.split_once(" us")?.0.parse::<u64>().ok());
    if taken.is_none_or(|us| us > MOST_US) {
        boot.fail(format_args!(
            "expected at most {MOST_US} us, seen {taken:?} in \"{line}\""
        ));
    }
    boot.expect_end();
}
