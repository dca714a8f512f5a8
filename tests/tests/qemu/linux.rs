// SPDX-License-Identifier: Apache-2.0
//! Debian's kernel as the guest.

use baton_qemu::{End, Machine, Task, kexec, linux, report};
use baton_tests::{Boot, boot, machine};

/// Boots `smp` vCPUs with the monitor's command line `baton`, and expects the generations up to
/// `last` in user space with all CPUs.
#[track_caller]
fn run(smp: u32, baton: &str, task: Task, last: u32, seconds: u64) -> Boot {
    let mut machine = machine(smp);
    machine.baton = baton.to_owned();
    run_on(&machine, task, last, seconds)
}

#[track_caller]
pub fn run_on(machine: &Machine, task: Task, last: u32, seconds: u64) -> Boot {
    let boot = boot(machine, &task.guest(""), seconds);
    boot.expect_ok(linux::check(&boot, last, machine.smp));
    boot
}

/// A machine whose guest goes the stock path, which no kernel survives with an ITS.
fn for_stock(baton: &str) -> Machine {
    Machine {
        baton: baton.to_owned(),
        its: false,
        ..machine(4)
    }
}

/// The monitor must have carried every kexec, and report the last one.
#[track_caller]
pub fn expect_carried(boot: &Boot) {
    boot.expect(kexec::STARTING);
    boot.expect_no(kexec::BYE);
    if report::lines(boot).is_none_or(|report| report.is_empty()) {
        boot.fail("expected the monitor's report of the last kexec, seen none");
    }
}

/// As much memory must be reserved in each of `kernels` kernels, but for the first, which firmware has
/// started, and for the last, whose initrd has no kernel in it.
#[track_caller]
pub fn expect_same_reserved(boot: &Boot, kernels: usize) {
    let seen: Vec<_> = boot
        .lines
        .iter()
        .filter_map(|line| Some(line.text.split_once("guest: reserved: ")?.1))
        .collect();
    let alike = seen.get(1..kernels - 1).unwrap_or_default();
    if alike.is_empty() || alike.iter().any(|reserved| *reserved != alike[0]) {
        boot.fail(format_args!(
            "expected the same reserved in all of {kernels} kernels but the first and the last, seen {seen:?}"
        ));
    }
}

/// Linux itself must have stopped the other CPUs and left.
#[track_caller]
pub fn expect_stock(boot: &Boot) {
    boot.expect(kexec::STARTING);
    boot.expect(kexec::BYE);
}

pub const KEXEC: Task = Task::Kexec {
    times: 1,
    checks: true,
};
/// For the paths on which the purgatory runs: its SHA-256 takes longer than all else.
pub const KEXEC_UNCHECKED: Task = Task::Kexec {
    times: 1,
    checks: false,
};

#[test]
fn boots_on_8_cpus() {
    let boot = run(8, "", Task::PowerOff, 0, 300);
    boot.expect_no(kexec::STARTING);
    if !matches!(boot.end, End::PoweredOff) {
        boot.fail(format_args!("expected a power-off, seen: {}", boot.end));
    }
}

#[test]
fn resets_on_8_cpus() {
    let boot = run(8, "", Task::Reset, 0, 300);
    if !matches!(boot.end, End::Reset) {
        boot.fail(format_args!("expected a reset, seen: {}", boot.end));
    }
}

#[test]
fn kexecs_on_8_cpus() {
    let boot = run(8, "", KEXEC, 1, 400);
    expect_carried(&boot);
    // The next kernel's own file system has the report, from its device tree.
    boot.expect("guest: tree: asked for by                      kernel_kexec()");
    boot.expect("guest: tree: CPUs                                           8");
    boot.expect("guest: tree: CPUs missing                                   0");
    boot.expect("guest: tree: phase 3 done on all CPUs");
    // And the last lines of the log.
    boot.expect("guest: tree: hooks: kernel at ");
}

#[test]
fn kexecs_on_4_cpus_without_an_its() {
    let machine = Machine {
        its: false,
        ..machine(4)
    };
    expect_carried(&run_on(&machine, KEXEC, 1, 400));
}

#[test]
fn kexecs_three_times_on_8_cpus() {
    expect_carried(&run(
        8,
        "",
        Task::Kexec {
            times: 3,
            checks: true,
        },
        3,
        600,
    ));
}

#[test]
fn kexecs_on_80_cpus() {
    expect_carried(&run(80, "", KEXEC, 1, 900));
}

#[test]
fn kexecs_twice_on_80_cpus() {
    expect_carried(&run(
        80,
        "",
        Task::Kexec {
            times: 2,
            checks: true,
        },
        2,
        1200,
    ));
}

#[test]
fn takes_cpus_off_and_on_on_8_cpus() {
    let boot = run(8, "", Task::Hotplug { rounds: 3 }, 0, 400);
    boot.expect("guest: hotplug: PASS");
}

#[test]
fn takes_cpus_off_and_on_on_80_cpus() {
    let boot = run(80, "", Task::Hotplug { rounds: 1 }, 0, 900);
    boot.expect("guest: hotplug: PASS");
}

#[test]
fn kexecs_serially_on_4_cpus() {
    expect_carried(&run(4, "teardown=serial", KEXEC, 1, 400));
}

#[test]
fn a_kernel_that_came_by_the_stock_path_finds_its_its_as_at_reset() {
    for baton in ["hooks=off", "hooks=refuse"] {
        let boot = run(4, baton, KEXEC_UNCHECKED, 1, 400);
        expect_stock(&boot);
    }
}

#[test]
fn leaves_the_stock_path_alone_with_hooks_off() {
    let machine = for_stock("hooks=off");
    expect_stock(&run_on(&machine, KEXEC_UNCHECKED, 1, 400));
}

#[test]
fn gives_the_stock_path_back_when_a_kimage_is_refused() {
    let machine = for_stock("hooks=refuse");
    expect_stock(&run_on(&machine, KEXEC_UNCHECKED, 1, 400));
}
