// SPDX-License-Identifier: Apache-2.0
//! Debian's kernel panics, and its crash kernel follows.

use crate::linux::{expect_stock, run_on};
use baton_qemu::{Machine, Task, kexec, paths};
use baton_tests::debugger::{CPSR, Monitor, PC, Stub};
use baton_tests::{Boot, Scratch, boot_answered, boot_observed, machine, number};

const SMP: u32 = 4;
const SECONDS: u64 = 600;
const CRASH: Task = Task::Crash { times: 1 };
/// What the stock path prints when it has stopped the other CPUs (`machine_crash_shutdown()`).
const STOCK: &str = "Starting crashdump kernel";
/// The monitor's line about a takeover after a panic.
const CARRIED: &str = "after __crash_kexec()";
/// A break on QEMU's terminal, behind its escape, and the key.
const BREAK_AND_C: &str = "\u{1}bc";
const HUNG_AT: &str = "guest: hang: _stext is at 0x";
/// SPSR of EL1h with D, A, I and F masked.
const MASKED: u64 = 0x3c5;
/// `b .`
const SPIN: [u8; 4] = 0x1400_0000_u32.to_le_bytes();
/// How far `_stext` is from the start of the Image.
const STEXT: u64 = 0x1_0000;
/// What is in x19 of CPU n while it hangs, but for n.
const MARK: u64 = 0x5eed_0000_c0de_0000;

fn crash_machine(baton: &str) -> Machine {
    Machine {
        baton: baton.to_owned(),
        ..machine(SMP)
    }
}

/// The monitor must have carried `times` panics, and the last crash kernel's kexec.
#[track_caller]
fn expect_carried(boot: &Boot, times: usize) {
    boot.expect_no(STOCK);
    boot.expect_no(kexec::BYE);
    let lines = boot.all("baton: generation ");
    let seen = lines.filter(|line| line.text.contains(CARRIED)).count();
    if seen != times {
        boot.fail(format_args!("expected {times} panics carried, seen {seen}"));
    }
    boot.expect("after kernel_kexec(), ");
}

/// Runs a machine whose guest panics as `how` (`baton.panic=`) says.
#[track_caller]
fn run_panic(how: &str) -> Boot {
    let machine = crash_machine("");
    let guest = CRASH.guest(&format!("baton.panic={how}"));
    let command = machine.command(&guest);
    let command = command.unwrap_or_else(|error| panic!("{error}"));
    let boot = boot_answered(command, SECONDS, |line| {
        line.contains("guest: waiting for a break")
            .then(|| BREAK_AND_C.into())
    });
    boot.expect_ok(baton_qemu::linux::check(&boot, 2, SMP));
    expect_carried(&boot, 1);
    boot
}

#[test]
fn a_crash_kernel_has_all_cpus_and_kexecs() {
    let boot = run_on(&crash_machine(""), CRASH, 2, SECONDS);
    expect_carried(&boot, 1);
    boot.expect("guest: tree: asked for by                     __crash_kexec()");
    boot.expect("guest: tree: copied or zeroed                               0 KiB");
}

/// `BATON_CRASHES=10` for more of them; each needs memory of its own in that of the one before.
#[test]
fn crash_kernels_crash_in_their_turn() {
    let times = number("BATON_CRASHES", 3);
    let mut machine = crash_machine("");
    machine.mem = u64::from(500 * times) + 1500;
    let boot = run_on(&machine, Task::Crash { times }, times + 1, SECONDS);
    expect_carried(&boot, times as usize);
}

#[test]
fn the_stock_path_is_left_alone_with_crash_off() {
    let boot = run_on(&crash_machine("crash=off"), CRASH, 2, SECONDS);
    boot.expect(STOCK);
    boot.expect_no(CARRIED);
    // The kexec of the crash kernel is the monitor's.
    let hooks = boot.all("baton: hooks: kernel at ").count();
    if hooks != 3 {
        boot.fail(format_args!(
            "expected three kernels with the hooks, the crash kernel's too; seen {hooks}"
        ));
    }
    boot.expect("baton: reboot 1 by kernel_kexec(): 4 of 4 CPUs taken, 0 missing, 0 steps failed");
}

#[test]
fn the_stock_path_runs_when_a_crash_kimage_is_refused() {
    let boot = run_on(&crash_machine("hooks=refuse"), CRASH, 2, SECONDS);
    boot.expect("crash hooks: removed, this panic takes the kernel's own path");
    boot.expect(STOCK);
    expect_stock(&boot);
}

#[test]
fn cpus_that_are_off_come_back() {
    let boot = run_panic("off");
    boot.expect("guest: CPUs online: 2");
}

#[test]
fn a_cpu_in_user_space_is_taken() {
    run_panic("user");
}

/// The kernel has its notifiers called first: its other CPUs turn themselves off for that.
#[test]
fn a_panic_with_notifiers_first_is_carried() {
    run_panic("late");
}

#[test]
fn two_cpus_panic_at_once() {
    run_panic("two");
}

#[test]
fn a_panic_in_an_interrupt_handler_is_carried() {
    run_panic("interrupt");
}

/// All CPUs but the one that panics spin with their interrupts masked, each with a mark in x19.
#[test]
fn hung_cpus_are_taken() {
    let scratch = Scratch::new("hung");
    let mut machine = crash_machine("");
    let stub = Stub::add(&mut machine, &scratch);
    let image = scratch.read(&paths::linux());
    let text = image[STEXT as usize..].chunks_exact(4);
    let spin = text.into_iter().position(|word| word == SPIN);
    let spin = 4 * spin.expect("a kernel with \"b .\" in it") as u64;
    let guest = CRASH.guest("baton.hang=on");
    let mut place = None;
    let boot = boot_observed(&machine, &guest, SECONDS, |line| {
        let Some((_, address)) = line.split_once(HUNG_AT) else {
            return;
        };
        if place.is_some() {
            return;
        }
        let stext = u64::from_str_radix(address.trim(), 16).expect("an address");
        // To connect stops the machine.
        let mut debugger = stub.connect();
        for cpu in 1..SMP {
            debugger.set_register(cpu, CPSR, MASKED);
            debugger.set_register(cpu, PC, stext + spin);
            debugger.set_register(cpu, 19, MARK + u64::from(cpu));
        }
        debugger.go_on_without(SMP, &[]);
        place = Some((stext + spin, debugger));
    });
    boot.expect_ok(baton_qemu::linux::check(&boot, 2, SMP));
    expect_carried(&boot, 1);
}

/// Where QEMU's RAM begins.
const RAM: u64 = 0x4000_0000;

/// From where all CPUs have come to the monitor up to the crash kernel's first instruction, nothing writes the
/// memory below the crash kernel's, which is the old kernel's.
#[test]
fn the_memory_of_the_kernel_that_panicked_is_not_written() {
    let scratch = Scratch::new("evidence");
    let (before, after) = (scratch.path("before"), scratch.path("after"));
    let mut machine = crash_machine("");
    machine.mem = 1024;
    let stub = Stub::add(&mut machine, &scratch);
    let (mut monitor, mut area) = (None, None);
    let mut connection = None;
    let boot = boot_observed(&machine, &CRASH.guest("baton.hang=on"), SECONDS, |line| {
        monitor = monitor.take().or_else(|| Monitor::at(line));
        area = area.or_else(|| area_in(line));
        let (Some(monitor), Some(area)) = (&monitor, area) else {
            return;
        };
        if connection.is_some() || !line.contains(HUNG_AT) {
            return;
        }
        let mut debugger = stub.connect();
        let checked = monitor.function("<baton_core::linux::kimage::Kimage>::check_crash");
        for (place, file) in [(checked, &before), (area, &after)] {
            debugger.break_at(place);
            debugger.go_on_without(SMP, &[]);
            let cpu = debugger.wait();
            assert_eq!(cpu, Some(0), "the CPU that panicked comes to {place:#x}");
            debugger.do_not_break_at(place);
            debugger.save(RAM, area - RAM, file);
        }
        debugger.go_on_without(SMP, &[]);
        connection = Some(debugger);
    });
    boot.expect_ok(baton_qemu::linux::check(&boot, 2, SMP));
    expect_carried(&boot, 1);
    let (before, after) = (scratch.read(&before), scratch.read(&after));
    assert!(before.len() == after.len() && before.len() > 64 << 20);
    let differs = |&at: &usize| before[at] != after[at];
    let written: Vec<_> = (0..before.len()).filter(differs).collect();
    if let (Some(first), Some(last)) = (written.first(), written.last()) {
        boot.fail(format_args!(
            "expected no byte written, seen {} from {:#x} to {:#x}",
            written.len(),
            RAM + *first as u64,
            RAM + *last as u64
        ));
    }
}

/// Where the crash kernel's memory begins, by the first kernel's line.
fn area_in(line: &str) -> Option<u64> {
    let (_, range) = line.split_once("crashkernel reserved: 0x")?;
    u64::from_str_radix(range.split_once(' ')?.0, 16).ok()
}
