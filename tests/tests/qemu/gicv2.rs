// SPDX-License-Identifier: Apache-2.0
//! A machine with a GICv2, which serves 8 CPUs.

use crate::{audit, linux, probe};
use baton_abi::steps;
use baton_qemu::{Machine, Task};
use baton_tests::machine as virt;

fn machine(smp: u32) -> Machine {
    Machine {
        gic: 2,
        its: false,
        ..virt(smp)
    }
}

#[test]
fn reboots() {
    for (smp, generations) in [(1, 2), (4, 4), (8, 4)] {
        let append = format!("test=kexec generations={generations}");
        probe::run_on(&machine(smp), &append, 120);
    }
}

#[test]
fn takes_cpus_that_no_sgi_wakes() {
    let append = "test=kexec generations=2 state=low-priority-wfi";
    probe::run_on(&machine(8), append, 120);
}

#[test]
fn answers_psci() {
    for smp in [1, 8] {
        probe::run_on(&machine(smp), "test=psci", 180);
    }
}

#[test]
fn idle_cpus_do_not_exit() {
    probe::run_on(&machine(8), "test=idle", 120);
}

#[test]
fn no_interrupt_goes_to_a_cpu_that_is_off() {
    probe::run_on(&machine(8), "test=routes", 120);
}

#[test]
fn next_kernel_finds_nothing() {
    for smp in [1, 8] {
        audit::clean_on(&machine(smp), 120);
    }
}

#[test]
fn next_kernel_finds_what_a_step_would_have_cleared() {
    for steps in [
        steps::CPU_INTERFACE,
        steps::REDISTRIBUTOR,
        "redistributor,sgis",
        steps::DISTRIBUTOR,
        steps::SPIS,
    ] {
        audit::finds_what_is_left_without_on(machine(4), steps);
    }
}

#[test]
fn linux_kexecs_on_8_cpus() {
    let task = Task::Kexec {
        times: 2,
        checks: true,
    };
    linux::expect_carried(&linux::run_on(&machine(8), task, 2, 400));
}

#[test]
fn linux_takes_cpus_off_and_on() {
    let boot = linux::run_on(&machine(8), Task::Hotplug { rounds: 2 }, 0, 400);
    boot.expect("guest: hotplug: PASS");
}
