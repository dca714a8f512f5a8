// SPDX-License-Identifier: Apache-2.0
//! What UEFI's firmware offers a kernel that runs (UEFI 2.10, 8): its clock, variables and reset, at EL1, in the
//! kernel that it has started and in the one after a kexec.

use crate::linux::{KEXEC_UNCHECKED, expect_carried};
use baton_qemu::walk::Kernels;
use baton_qemu::{Disk, End, Guest, Machine, Task, door, linux, paths};
use baton_tests::{Boot, Scratch, boot, boot_command, uefi_machine};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the guest is asked for: to use them, and to reset in the end.
const SERVICES: &str = "baton.efi=on baton.then=reset";
/// A name of the CPU in the tables of SMBIOS for which Linux calls SetVirtualAddressMap. For others it does not,
/// where it has 48 bits of address (`system_needs_vamap` of its stub).
const NEEDS_MAP: [&str; 2] = ["-smbios", "type=4,version=eMAG"];
/// What its stub says then.
const WORKING_AROUND: &str = "Working around broken SetVirtualAddressMap()";
/// Where Linux maps firmware then (`EFI_RT_VIRTUAL_BASE`), below all RAM of this machine.
const MAPPED: std::ops::Range<u64> = 0x2000_0000..0x4000_0000;
/// RAM, where firmware lies, and is mapped at its own address without.
const RAM: std::ops::Range<u64> = 0x4000_0000..0xc000_0000;

/// SYSTEM_RESET, by which firmware resets too.
const RESET: &str = "call 0x84000009 at 0x";
const DAY: u64 = 24 * 60 * 60;
/// Seconds that a run may take, and clocks may differ.
const TOLERANCE: u64 = 3600;

/// Has Linux call SetVirtualAddressMap, or not.
fn set_map(machine: &mut Machine, is_called: bool) {
    if is_called {
        machine.extra.extend(NEEDS_MAP.map(str::to_owned));
    }
}

/// Expects two kernels that use firmware's services, and what is left of them in its flash.
#[track_caller]
fn expect_services(boot: &Boot, machine: &Machine, is_called: bool) {
    boot.expect_ok(linux::check(boot, 1, machine.smp));
    if is_called {
        boot.expect(WORKING_AROUND);
    } else {
        boot.expect_no(WORKING_AROUND);
    }
    expect_clock(boot);
    boot.expect("guest: efi: variable 0: what generation 0 wrote");
    boot.expect("guest: efi: variable 1: what generation 1 wrote");
    let read_after_the_kexec = boot.all("guest: efi: variable 0: ").count();
    if read_after_the_kexec < 2 {
        boot.fail("expected the variable of the first kernel to be read by the second");
    }
    let uefi = machine.uefi.as_ref().expect("a machine with UEFI");
    for (name, expected) in [
        ("Baton0", None),
        ("Baton1", Some("what generation 1 wrote")),
    ] {
        let seen = uefi
            .variable(name)
            .unwrap_or_else(|error| panic!("{error}"));
        if seen.as_deref() != expected.map(str::as_bytes) {
            boot.fail(format_args!(
                "expected the variable {name} to be {expected:?} in the flash, seen {seen:?}"
            ));
        }
    }
}

/// The first kernel must read the host's time, and each one after it a day more, which the one before set.
#[track_caller]
fn expect_clock(boot: &Boot) {
    let read: Vec<u64> = boot
        .all("guest: efi: clock rtc-efi ")
        .filter_map(|line| {
            line.text
                .rsplit(": ")
                .next()?
                .strip_suffix(" s")?
                .parse()
                .ok()
        })
        .collect();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    let is_now = read
        .first()
        .is_some_and(|first| now.abs_diff(*first) < TOLERANCE);
    let a_day = |pair: &[u64]| (DAY..DAY + TOLERANCE).contains(&pair[1].saturating_sub(pair[0]));
    if read.len() < 2 || !is_now || !read.windows(2).all(a_day) {
        boot.fail(format_args!(
            "expected the clock at {now} s, and a day later in each next kernel; seen {read:?}"
        ));
    }
}

/// The machine must have been reset by firmware's ResetSystem, which calls PSCI, from `place`.
#[track_caller]
fn expect_reset_from(boot: &Boot, place: &std::ops::Range<u64>) {
    if !matches!(boot.end, End::Reset) {
        boot.fail(format_args!("expected a reset, seen: {}", boot.end));
    }
    let line = boot.expect(RESET);
    let from = line.split_once(RESET).map_or("", |(_, from)| from);
    if !u64::from_str_radix(from, 16).is_ok_and(|from| place.contains(&from)) {
        boot.fail(format_args!(
            "expected a reset by firmware, at {place:#x?}; seen \"{line}\""
        ));
    }
}

#[track_caller]
fn serves(scratch: &str, guest: &Guest, is_called: bool, disk: Option<Disk>) {
    let scratch = Scratch::new(scratch);
    let mut machine = uefi_machine(4, &scratch);
    machine.baton = "log=debug".into();
    machine.disks.extend(disk);
    set_map(&mut machine, is_called);
    let boot = boot(&machine, guest, 400);
    expect_services(&boot, &machine, is_called);
    expect_carried(&boot);
    expect_reset_from(&boot, if is_called { &MAPPED } else { &RAM });
}

#[test]
fn clock_variables_and_reset_by_firmware_at_its_own_addresses() {
    serves("efi-flat", &KEXEC_UNCHECKED.guest(SERVICES), false, None);
}

#[test]
#[ignore = "long: make test-long"]
fn clock_variables_and_reset_by_firmware_at_virtual_addresses() {
    serves("efi-mapped", &KEXEC_UNCHECKED.guest(SERVICES), true, None);
}

/// Debian's 6.12, which then kexecs itself.
#[test]
#[ignore = "long: make test-long"]
fn clock_variables_and_reset_by_a_newer_kernel() {
    let kernels = Kernels::open(&paths::kernel_disk()).unwrap_or_else(|error| panic!("{error}"));
    // There is no disk to write to.
    let append = format!("baton.disk=off {SERVICES}");
    let guest = kernels.guest(&[1, 1], &append);
    let guest = guest.expect("a disk with two kernels");
    for is_called in [false, true] {
        serves("efi-newer", &guest, is_called, Some(kernels.disk()));
    }
}

/// A kernel at EL2 that called SetVirtualAddressMap brings the monitor up by kexec, which then finds firmware's
/// tables by addresses that are no longer physical.
#[test]
#[ignore = "long: make test-long"]
fn a_kernel_that_mapped_firmware_brings_the_monitor_up() {
    let scratch = Scratch::new("efi-try");
    let mut machine = uefi_machine(4, &scratch);
    set_map(&mut machine, true);
    let guest = Task::Try.guest("baton.efi=on");
    let run = door::prepare(&mut machine, &paths::linux(), &scratch.path("try"))
        .and_then(|()| door::command(&machine, &guest));
    let boot = boot_command(run.unwrap_or_else(|error| panic!("{error}")), 600);
    boot.expect_ok(door::check(&boot, machine.smp));
    expect_services(&boot, &machine, true);
}
