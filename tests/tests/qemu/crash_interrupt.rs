// SPDX-License-Identifier: Apache-2.0
//! A kernel that hangs is ended for its crash kernel by an interrupt that Trusted Firmware-A takes (SDEI): the alarm of
//! the clock, which is set before the CPUs hang.

use crate::crash::{CRASH, SMP, STOCK, debugged, expect_hung, expect_notes};
use crate::el3::{add_psci, set_command_line};
use baton_qemu::{Machine, paths};
use baton_tests::debugger::Stub;
use baton_tests::{Boot, Scratch, boot_watched, command_changed, machine};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// The alarm of QEMU's clock (`hw/arm/virt.c`): SPI 2.
const ALARM: u32 = 34;
const SECONDS: u64 = 600;
/// How long after its line the guest sleeps.
const IDLE: Duration = Duration::from_millis(500);

fn above_tfa(baton: &str) -> Machine {
    Machine {
        el3: true,
        tfa: Some(paths::tfa_sdei()),
        baton: baton.to_owned(),
        ..machine(SMP)
    }
}

#[track_caller]
fn command(machine: &Machine, guest: &str, scratch: &Scratch) -> Command {
    let guest = CRASH.guest(guest);
    command_changed(machine, &guest, Vec::new(), scratch, |tree| {
        add_psci(tree);
        set_command_line(tree, &machine.baton);
    })
}

/// The interrupt must have led to a crash kernel with all CPUs, which kexecs in its turn.
#[track_caller]
fn expect_crash(boot: &Boot) {
    boot.expect_ok(baton_qemu::linux::check(boot, 2, SMP));
    boot.expect(&format!("baton: crash interrupt: {ALARM}, by event "));
    boot.expect("after the crash interrupt, ");
    boot.expect_no("Kernel panic");
    boot.expect_no(STOCK);
    expect_notes(boot, 4, 0, 0);
}

#[test]
#[ignore = "long: make test-long"]
fn an_idle_kernel_is_ended() {
    let scratch = Scratch::new("alarm");
    let machine = above_tfa(&format!("crash-irq={ALARM}"));
    let command = command(&machine, "baton.panic=alarm", &scratch);
    expect_crash(&boot_watched(command, SECONDS, |_| ()));
}

#[test]
#[ignore = "long: make test-long"]
fn all_cpus_hang_and_are_taken() {
    let scratch = Scratch::new("all-hang");
    let mut machine = above_tfa(&format!("crash-irq={ALARM}"));
    let stub = Stub::add(&mut machine, &scratch);
    let command = command(&machine, "baton.panic=alarm baton.hang=on", &scratch);
    let mut place = 0;
    let boot = debugged(command, &stub, SECONDS, |debugger, waiting, _| {
        // CPU 0 is in user space, which has nothing of the kernel mapped, but not for long.
        debugger.go_on_without(SMP, &[]);
        sleep(IDLE);
        debugger.stop();
        place = debugger.hang(SMP, 0..SMP, waiting.stext);
    });
    expect_crash(&boot);
    expect_hung(&boot, place, 0..SMP);
}

/// In user space the kernel's memory is not mapped, in tables of its own (KPTI).
#[test]
#[ignore = "long: make test-long"]
fn all_cpus_in_user_space_are_taken() {
    let scratch = Scratch::new("all-busy");
    let machine = above_tfa(&format!("crash-irq={ALARM}"));
    let command = command(&machine, "baton.panic=alarm baton.busy=on", &scratch);
    let boot = boot_watched(command, SECONDS, |_| ());
    expect_crash(&boot);
    boot.expect("CPU features: detected: Kernel page table isolation (KPTI)");
    for cpu in 0..SMP {
        let note = boot.expect(&format!("guest: vmcore: note {cpu}: pc "));
        let mode = note.split_once(", pstate ").map(|(_, rest)| &rest[15..16]);
        if mode != Some("0") {
            boot.fail(format_args!("expected a PSTATE of EL0, seen {note}"));
        }
    }
}

#[test]
#[ignore = "long: make test-long"]
fn without_a_crash_kernel_the_kernel_goes_on() {
    let scratch = Scratch::new("no-crash-kernel");
    let machine = above_tfa(&format!("crash-irq={ALARM}"));
    let command = command(&machine, "baton.panic=alarm baton.loaded=off", &scratch);
    let boot = boot_watched(command, SECONDS, |_| ());
    boot.expect("guest: the alarm is over");
    boot.expect("crash interrupt: no crash kernel: it has none loaded; the kernel goes on");
    boot.expect("guest: leaving by poweroff");
}
