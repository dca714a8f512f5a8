// SPDX-License-Identifier: Apache-2.0
//! What the CPUs are doing when the machine is rebooted: in each state of the probe all of them arrive,
//! or the report names those that cannot.

use super::{SECONDS, SMP, expect_next_kernel, mpidr, started};
use crate::probe;
use baton_qemu::Machine;
use baton_tests::{Boot, boot, machine};

/// CPUs in `state` when the machine is taken; all of them must arrive.
#[track_caller]
fn all_arrive(state: &str) -> Boot {
    all_arrive_on(&machine(SMP), state)
}

#[track_caller]
pub fn all_arrive_on(machine: &Machine, state: &str) -> Boot {
    let boot = boot(
        machine,
        &probe::guest(&format!("test=kexec state={state}")),
        SECONDS,
    );
    boot.expect(&format!("probe: state {state}: "));
    expect_next_kernel(&boot, 0);
    boot.expect_no("did not arrive");
    boot
}

#[test]
fn spinning_with_interrupts_masked() {
    all_arrive("masked-loop");
}

#[test]
fn in_wfi_with_the_cpu_interface_off() {
    all_arrive("interface-off");
}

#[test]
fn in_wfi_with_every_priority_masked() {
    all_arrive("priority-mask");
}

#[test]
fn in_wfi_with_its_sgis_off() {
    all_arrive("sgis-off");
}

/// The monitor was not told that the interface was shut: it names the CPUs.
#[test]
fn in_wfi_with_the_cpu_interface_shut_later() {
    let up = started(SMP).count() - 1;
    let append = format!("test=kexec state=interface-off-later missing={up}");
    let boot = boot(&machine(SMP), &probe::guest(&append), SECONDS);
    expect_next_kernel(&boot, up);
    for cpu in started(SMP).skip(1) {
        boot.expect(&format!(
            "baton: warning: cpu {cpu} (MPIDR {:#x}) did not arrive within 1000 ms: left behind, without memory",
            mpidr(cpu)
        ));
    }
}

#[test]
fn in_wfe() {
    all_arrive("wfe");
}

#[test]
fn off() {
    all_arrive("off");
}

#[test]
fn in_standby() {
    all_arrive("standby");
}

#[test]
fn in_standby_with_the_cpu_interface_off() {
    all_arrive("masked-standby");
}

#[test]
fn suspended() {
    all_arrive("power-down");
}

#[test]
fn suspended_with_the_cpu_interface_off() {
    all_arrive("masked-power-down");
}

#[test]
fn half_way_through_cpu_on() {
    all_arrive("cpu-on");
}

#[test]
fn single_stepping() {
    all_arrive("single-step");
}

#[test]
fn taking_faults_in_a_loop() {
    let boot = all_arrive("fault-loop");
    boot.expect("is in the monitor's memory");
}

#[test]
fn taking_faults_at_its_own_vectors() {
    all_arrive("vector-loop");
}

#[test]
fn with_a_corrupt_stack() {
    all_arrive("corrupt-stack");
}

/// The probe finds no store that is later than the end of the generation.
#[test]
fn writing_memory_as_fast_as_it_can() {
    let boot = all_arrive("witness");
    boot.expect("probe: witness: ");
    all_arrive("store");
}
