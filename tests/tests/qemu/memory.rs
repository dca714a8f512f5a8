// SPDX-License-Identifier: Apache-2.0
//! Memory that is plugged in while Debian's kernel runs (virtio-mem), and that it uses as any other.

use crate::linux::{expect_carried, expect_stock};
use baton_qemu::{Guest, Machine, Task, linux};
use baton_tests::debugger::{Monitor, Stub};
use baton_tests::{Boot, Scratch, boot, boot_observed, machine, uefi_machine};

const SMP: u32 = 4;
const SECONDS: u64 = 400;

/// A physical address at which EL2 maps nothing.
const NOWHERE: u64 = 1 << 38;

/// 1 GiB of memory at first, and 2 GiB more of virtio-mem.
fn machine_with_more(baton: &str) -> Machine {
    with_more(Machine {
        baton: baton.to_owned(),
        ..machine(SMP)
    })
}

fn with_more(machine: Machine) -> Machine {
    Machine {
        mem: 1024,
        its: true,
        extra: [
            "-m",
            "1G,maxmem=4G,slots=2",
            "-object",
            "memory-backend-ram,id=more,size=2G",
            "-device",
            "virtio-mem-pci,memdev=more,requested-size=2G",
        ]
        .map(String::from)
        .into(),
        ..machine
    }
}

fn guest() -> Guest {
    Task::Memory { mib: 2500 }.guest("")
}

#[track_caller]
fn kexec_from_plugged_memory(baton: &str) -> Boot {
    kexec_on(&machine_with_more(baton))
}

#[track_caller]
fn kexec_on(machine: &Machine) -> Boot {
    let boot = boot(machine, &guest(), SECONDS);
    boot.expect_ok(linux::check(&boot, 1, SMP));
    boot
}

#[test]
fn kexecs_with_pages_in_memory_that_was_plugged_in() {
    let boot = kexec_from_plugged_memory("log=debug");
    boot.expect(" blocks of hot-plugged memory");
    expect_carried(&boot);
}

/// The SRAT says where memory can come.
#[test]
fn kexecs_with_pages_in_memory_that_was_plugged_in_by_acpi() {
    let scratch = Scratch::new("memory-acpi");
    let mut machine = with_more(uefi_machine(SMP, &scratch));
    machine.baton = "log=debug".into();
    let boot = kexec_on(&machine);
    boot.expect(" blocks of hot-plugged memory");
    expect_carried(&boot);
}

#[test]
fn the_stock_path_from_memory_that_was_plugged_in_lives() {
    for baton in ["hooks=off", "hooks=refuse"] {
        expect_stock(&kexec_from_plugged_memory(baton));
    }
}

/// The load that looks whether memory is there is aborted, as a debugger gives it another address.
#[test]
fn what_does_not_answer_is_not_taken_for_memory() {
    let scratch = Scratch::new("memory");
    let mut machine = machine_with_more("");
    let stub = Stub::add(&mut machine, &scratch);
    let (mut monitor, mut debugger) = (None, None);
    let boot = boot_observed(&machine, &guest(), SECONDS, |line| {
        monitor = monitor.take().or_else(|| Monitor::at(line));
        let Some(monitor) = &monitor else { return };
        if !line.contains("guest: kexec -e") || debugger.is_some() {
            return;
        }
        let debugger = debugger.insert(stub.connect());
        let load = monitor.function("try_load");
        debugger.break_at(load);
        debugger.go_on_without(SMP, &[]);
        let cpu = debugger.wait();
        let cpu = cpu.expect("expected a load that may fail, seen the machine's end");
        debugger.set_register(cpu, 0, NOWHERE);
        debugger.do_not_break_at(load);
        debugger.go_on_without(SMP, &[]);
    });
    boot.expect("kexec refused: ");
    expect_stock(&boot);
    boot.expect_ok(linux::check(&boot, 1, SMP));
}
