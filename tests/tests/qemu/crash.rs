// SPDX-License-Identifier: Apache-2.0
//! Debian's kernel panics, and its crash kernel follows.

use crate::linux::{expect_stock, run_on};
use baton_qemu::hang::{MASKED, STEXT, Waiting, mark};
use baton_qemu::{End, Guest, Machine, Task, hang, kexec, paths, scratch};
use baton_tests::debugger::{Debugger, Monitor, Stub};
use baton_tests::{
    Boot, Kernel, Scratch, boot, boot_answered, boot_watched, machine, number, uefi_machine,
};
use std::ops::Range;
use std::process::Command;

pub const SMP: u32 = 4;
const SECONDS: u64 = 600;
pub const CRASH: Task = Task::Crash { times: 1 };
/// What the stock path prints when it has stopped the other CPUs (`machine_crash_shutdown()`).
pub const STOCK: &str = "Starting crashdump kernel";
/// The monitor's line about a takeover after a panic.
pub const CARRIED: &str = "after __crash_kexec()";
/// That about one after the crash kernel's kexec.
pub const KEXECKED: &str = "after kernel_kexec(), ";
/// A break on QEMU's terminal, behind its escape, and the key.
const BREAK_AND_C: &str = "\u{1}bc";
/// Bytes of a note, without the empty one behind it.
const NOTE: usize = 412;

pub fn crash_machine(baton: &str) -> Machine {
    Machine {
        baton: baton.to_owned(),
        ..machine(SMP)
    }
}

/// As [`boot_watched`]; when the guest waits for it, a debugger is connected. It lets the machine go on.
#[track_caller]
pub fn boot_debugged(
    mut machine: Machine,
    append: &str,
    scratch: &Scratch,
    seconds: u64,
    act: impl FnOnce(&mut Debugger, Waiting, &[String]),
) -> Boot {
    let stub = Stub::add(&mut machine, scratch);
    let command = machine.command(&CRASH.guest(&format!("baton.hang=on {append}")));
    let command = command.unwrap_or_else(|error| panic!("{error}"));
    debugged(command, &stub, seconds, act)
}

/// As [`boot_debugged`], with any command for a machine that has `stub`.
#[track_caller]
pub fn debugged(
    command: Command,
    stub: &Stub,
    seconds: u64,
    act: impl FnOnce(&mut Debugger, Waiting, &[String]),
) -> Boot {
    let mut lines = Vec::new();
    let mut act = Some(act);
    let mut debugger = None;
    boot_watched(command, seconds, |line| {
        lines.push(line.to_owned());
        let Some(waiting) = hang::waits(line) else {
            return;
        };
        if let Some(act) = act.take() {
            // To connect stops the machine.
            let debugger = debugger.insert(stub.connect());
            act(debugger, waiting, &lines);
        }
    })
}

/// The notes of `cpus` must have what [`Debugger::hang`] has given them at `place`.
#[track_caller]
pub fn expect_hung(boot: &Boot, place: u64, cpus: Range<u32>) {
    for cpu in cpus {
        let mark = mark(cpu);
        boot.expect(&format!(
            "guest: vmcore: note {cpu}: pc {place:016x}, pstate {MASKED:016x}, x19 {mark:016x}"
        ));
    }
}

/// The PC of `cpu` in the dump but for multiples of [`STEXT`], by which kernels are moved.
#[track_caller]
pub fn pc_of_note(boot: &Boot, cpu: u32) -> u64 {
    let line = boot.expect(&format!("guest: vmcore: note {cpu}: pc "));
    let digits = line
        .split_once(": pc ")
        .and_then(|(_, rest)| rest.get(..16));
    match digits.map(|digits| u64::from_str_radix(digits, 16)) {
        Some(Ok(pc)) => pc % STEXT,
        _ => boot.fail(format_args!("expected a PC, seen \"{line}\"")),
    }
}

/// How many notes of the dump must have registers, were written by the kernel, and have no registers.
#[track_caller]
pub fn expect_notes(boot: &Boot, registers: u32, kernels: u32, empty: u32) {
    boot.expect(&format!(
        "baton: crash: {registers} notes with registers, {kernels} as the kernel has written them, {empty} without"
    ));
    // As the crash kernel shows them.
    let all = registers + kernels + empty;
    boot.expect(&format!("guest: vmcore: notes: {all}"));
}

/// The monitor must have carried `times` panics, and the last crash kernel's kexec.
#[track_caller]
pub fn expect_carried(boot: &Boot, times: usize) {
    expect_panics_carried(boot, times);
    boot.expect(KEXECKED);
}

/// The monitor must have carried `times` panics.
#[track_caller]
pub fn expect_panics_carried(boot: &Boot, times: usize) {
    boot.expect_no(STOCK);
    boot.expect_no(kexec::BYE);
    let lines = boot.all("baton: generation ");
    let seen = lines.filter(|line| line.text.contains(CARRIED)).count();
    if seen != times {
        boot.fail(format_args!("expected {times} panics carried, seen {seen}"));
    }
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
    expect_notes(&boot, 4, 0, 0);
    boot.expect("guest: tree: asked for by                     __crash_kexec()");
    boot.expect("guest: tree: copied or zeroed                               0 KiB");
    // Where the kernel says that it panicked, and not where it called the monitor. It lies at a multiple of this, which
    // is not known.
    let kernel = Kernel::at(STEXT);
    let function = kernel.function("__crash_kexec")..kernel.function("crash_kexec");
    let calls = kernel.stops_crashed()..kernel.leaves_crashed() + 5;
    let pc = function.start / STEXT * STEXT + pc_of_note(&boot, 0);
    if !function.contains(&pc) || calls.contains(&pc) {
        boot.fail(format_args!(
            "expected note 0 at {function:#x?} of the kernel, but not at {calls:#x?}, seen {pc:#x}"
        ));
    }
}

/// By UEFI, with ACPI: the crash kernel has its memory map, and no device tree of the machine's.
#[test]
fn a_crash_on_a_machine_of_acpi() {
    let scratch = Scratch::new("crash-acpi");
    let boot = run_on(&uefi_machine(SMP, &scratch), CRASH, 2, SECONDS);
    expect_carried(&boot, 1);
    expect_notes(&boot, 4, 0, 0);
}

#[test]
fn a_crash_with_a_gicv2() {
    let mut machine = crash_machine("");
    machine.gic = 2;
    let boot = run_on(&machine, CRASH, 2, SECONDS);
    expect_carried(&boot, 1);
    expect_notes(&boot, 4, 0, 0);
}

/// Another Debian's kernel panics, and is its own crash kernel.
#[track_caller]
fn kernel_of(release: &str) {
    let guest = Guest {
        kernel: paths::linux_of(release),
        initrd: Some(paths::initramfs_of(release)),
        append: CRASH.command_line(""),
    };
    let boot = boot(&crash_machine(""), &guest, SECONDS);
    boot.expect_ok(baton_qemu::linux::check(&boot, 2, SMP));
    expect_carried(&boot, 1);
    expect_notes(&boot, 4, 0, 0);
}

#[test]
fn trixies_kernel_is_carried() {
    kernel_of("trixie");
}

#[test]
#[ignore = "long: make test-long"]
fn sids_kernel_is_carried() {
    kernel_of("sid");
}

#[test]
fn devices_stop_at_a_panic_unless_they_are_to_be_kept() {
    let files = Scratch::new("crash-dma");
    let disk = scratch::create(&files.path("disk"), 3).unwrap();
    for (baton, stopped) in [("", "1"), ("crash=keep-dma", "0")] {
        let mut machine = crash_machine(baton);
        machine.disks.push(disk.clone());
        let boot = boot(&machine, &CRASH.guest("baton.disk=on"), SECONDS);
        expect_carried(&boot, 1);
        // The crash kernel's own line is the first one.
        let line = boot.expect("guest: tree: PCI functions stopped ");
        if line.rsplit(' ').next() != Some(stopped) {
            boot.fail(format_args!(
                "expected {stopped} with \"{baton}\", seen \"{line}\""
            ));
        }
    }
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
    // Those of the crash kernel too: its kexec is the monitor's.
    boot.expect_lines(3, "baton: hooks: kernel at ");
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
    expect_notes(&boot, 2, 0, 2);
}

#[test]
fn a_cpu_in_user_space_is_taken() {
    let boot = run_panic("user");
    expect_notes(&boot, 4, 0, 0);
    // Of CPU 1, which computes without an end.
    let note = boot.expect("guest: vmcore: note 1: pc ");
    let mode = note.split_once(", pstate ").map(|(_, rest)| &rest[15..16]);
    if mode != Some("0") {
        boot.fail(format_args!("expected a PSTATE of EL0, seen {note}"));
    }
}

/// The kernel has its notifiers called first: its other CPUs turn themselves off for that.
#[test]
fn a_panic_with_notifiers_first_is_carried() {
    let boot = run_panic("late");
    expect_notes(&boot, 1, 3, 0);
}

#[test]
fn two_cpus_panic_at_once() {
    expect_notes(&run_panic("two"), 4, 0, 0);
}

#[test]
fn a_panic_in_an_interrupt_handler_is_carried() {
    expect_notes(&run_panic("interrupt"), 4, 0, 0);
}

/// Where QEMU's RAM begins.
const RAM: u64 = 0x4000_0000;

/// From where all CPUs have come to the monitor up to the crash kernel's first instruction, nothing is written
/// but the CPUs' notes to memory that is not the crash kernel's.
#[test]
fn the_memory_of_the_kernel_that_panicked_is_not_written() {
    let scratch = Scratch::new("evidence");
    let names = ["before", "after"]
        .map(|name| ["low", "high"].map(|part| scratch.path(&format!("{name}-{part}"))));
    let mut machine = crash_machine("");
    machine.mem = 1024;
    let boot = boot_debugged(machine, "", &scratch, SECONDS, |debugger, _, lines| {
        let place = lines.iter().find_map(|line| Monitor::at(line));
        let monitor = place.expect("a line of the monitor's");
        let area = area_in(lines);
        // The monitor is at the end.
        let parts = [RAM..area.start, area.end..monitor.address()];
        let checked = monitor.function("<baton_core::linux::kimage::Kimage>::check_crash");
        for (place, files) in [checked, area.start].into_iter().zip(&names) {
            debugger.break_at(place);
            debugger.go_on_without(SMP, &[]);
            let cpu = debugger.wait();
            assert_eq!(cpu, Some(0), "the CPU that panicked comes to {place:#x}");
            debugger.do_not_break_at(place);
            for (part, file) in parts.iter().zip(files) {
                debugger.save(part.start, part.end - part.start, file);
            }
        }
        debugger.go_on_without(SMP, &[]);
    });
    boot.expect_ok(baton_qemu::linux::check(&boot, 2, SMP));
    expect_carried(&boot, 1);
    let [before, after] = names.map(|files| files.map(|file| scratch.read(&file)).concat());
    assert!(before.len() == after.len() && before.len() > 300 << 20);
    let differs = |&at: &usize| before[at] != after[at];
    let written: Vec<_> = (0..before.len()).filter(differs).collect();
    // Notes are of CPUs' own memory: no two are near each other.
    let notes = written.chunk_by(|a, b| b - a < NOTE);
    let sizes: Vec<_> = notes
        .map(|note| note[note.len() - 1] - note[0] + 1)
        .collect();
    if sizes.len() != SMP as usize || sizes.iter().any(|size| *size > NOTE) {
        boot.fail(format_args!(
            "expected {SMP} notes of {NOTE} bytes written, and nothing else; seen so many bytes: {sizes:?}"
        ));
    }
}

#[test]
fn a_damaged_crash_kernel_is_not_entered() {
    let scratch = Scratch::new("damaged");
    let boot = boot_debugged(
        crash_machine(""),
        "",
        &scratch,
        SECONDS,
        |debugger, _, lines| {
            // In the middle of the kernel.
            debugger.flip(area_in(lines).start + (10 << 20), 1);
            debugger.go_on_without(SMP, &[]);
        },
    );
    boot.expect("baton: error: crash: the SHA-256 of the crash image's ");
    boot.expect("baton: error: the crash kernel is damaged; resetting the machine");
    boot.expect_no("guest: generation 1");
    if !matches!(boot.end, End::Reset) {
        boot.fail(format_args!("expected a reset, seen: {}", boot.end));
    }
}

/// The crash kernel's memory, by the first kernel's line.
fn area_in(lines: &[String]) -> Range<u64> {
    let area = lines.iter().find_map(|line| {
        let (_, range) = line.split_once("crashkernel reserved: 0x")?;
        let (start, rest) = range.split_once(" - 0x")?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        Some(address(start)?..address(rest.split_once(' ')?.0)?)
    });
    area.expect("memory for a crash kernel")
}
