// SPDX-License-Identifier: Apache-2.0
//! UEFI firmware starts the monitor on machines of other sizes, with other CPUs, firmware and kernels.

use crate::kernels::{kernels, walk_on};
use crate::probe::run_on;
use crate::uefi::boots_and_kexecs_on;
use baton_qemu::{Machine, paths};
use baton_tests::{Boot, Scratch, uefi_machine};

/// Everything that QEMU has.
const MAX: &str = "max,pauth-impdef=on";

/// A machine with `smp` CPUs of the model `cpu`, with EDK2 of that Debian.
fn machine_with(smp: u32, cpu: &str, release: &str, scratch: &Scratch) -> Machine {
    let mut machine = uefi_machine(smp, scratch);
    machine.cpu = cpu.to_owned();
    if release == "trixie" {
        machine.uefi.as_mut().unwrap().firmware = paths::edk2_of(release);
    }
    machine
}

#[track_caller]
fn boots_and_kexecs_with(smp: u32, cpu: &str, release: &str, seconds: u64) -> Boot {
    let scratch = Scratch::new(&format!("uefi-{smp}-{release}"));
    let machine = machine_with(smp, cpu, release, &scratch);
    let boot = boots_and_kexecs_on(&machine, seconds);
    boot.expect(match release {
        "trixie" => "UEFI firmware (version 2025",
        _ => "UEFI firmware (version  built",
    });
    boot
}

#[test]
fn boots_and_kexecs_on_1_cpu() {
    boots_and_kexecs_with(1, "cortex-a57", "bookworm", 300);
}

#[test]
fn boots_and_kexecs_on_max() {
    boots_and_kexecs_with(4, MAX, "trixie", 400);
}

/// QEMU has redistributors for 123 CPUs in its first region, and a second one for the rest.
#[test]
fn reboots_on_128_cpus() {
    let scratch = Scratch::new("uefi-probe-128");
    run_on(
        &uefi_machine(128, &scratch),
        "test=kexec generations=2",
        600,
    );
}

#[test]
#[ignore = "long: make test-long"]
fn boots_and_kexecs_on_128_cpus() {
    let boot = boots_and_kexecs_with(128, "cortex-a57", "bookworm", 1800);
    boot.expect("GICv3: CPU127: found redistributor 70f region 1:");
}

#[test]
#[ignore = "long: make test-long"]
fn boots_and_kexecs_on_each_cpu_by_each_firmware() {
    for release in ["bookworm", "trixie"] {
        for cpu in ["cortex-a57", "neoverse-n1", MAX] {
            boots_and_kexecs_with(4, cpu, release, 400);
        }
    }
}

/// Each is started by its own EFI stub, and kexecs the next.
#[test]
#[ignore = "long: make test-long"]
fn each_kernel_kexecs_the_next() {
    let kernels = kernels();
    let count = kernels.all.len();
    for first in 0..count {
        let scratch = Scratch::new("uefi-kernels");
        let machine = machine_with(4, "neoverse-n1", "bookworm", &scratch);
        let boot = walk_on(machine, &kernels, &[first, (first + 1) % count], &scratch);
        boot.expect("baton: EL2 taken at ExitBootServices");
    }
}
