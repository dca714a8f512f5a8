// SPDX-License-Identifier: Apache-2.0
//! Faults injected into the monitor itself: each ends in a line that names the CPU, and a reset,
//! whichever CPU it is.

use crate::probe;
use baton_qemu::Machine;
use baton_tests::{Boot, boot, machine};

/// Reboots four CPUs, one of which has `fault` in phase 3.
#[track_caller]
fn run(fault: &str) -> Boot {
    let machine = Machine {
        baton: format!("inject={fault}"),
        ..machine(4)
    };
    let boot = boot(&machine, &probe::guest("test=kexec generations=1"), 60);
    boot.expect("4 CPUs, monitor at");
    boot.expect("no SMMU protection: DMA and ITS commands can reach the monitor");
    boot.expect_no("generation 1");
    boot.expect_end();
    boot
}

/// The monitor must say in one line that it panicked on `cpu`, where, why, and that it resets the machine.
#[track_caller]
fn expect_panic(boot: &Boot, cpu: usize, why: &str) {
    let who = format!("cpu {cpu}: panicked at ");
    boot.expect_error(&[&who, ".rs:", why, "; resetting the machine"]);
}

#[test]
fn stack_overflow_of_the_boot_cpu() {
    expect_panic(&run("stack@0"), 0, "stack overflow at 0x");
}

#[test]
fn stack_overflow_of_another_cpu() {
    expect_panic(&run("stack@2"), 2, "stack overflow at 0x");
}

#[test]
fn allocation_while_cpus_are_taken() {
    expect_panic(&run("heap@1"), 1, "memory allocation of 8 bytes failed");
}
