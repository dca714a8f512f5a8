// SPDX-License-Identifier: Apache-2.0
use super::super::{install, installed, uninstall};
use super::*;
use crate::boot_entries::fake::{put_entry, put_numbers};
use crate::check::tests::server;
use crate::esp;
use crate::plan::fake::Programs;
use crate::root::fake::System;

const SHIM: &str = "\\EFI\\debian\\shimaa64.efi";
const TABLE: &str = "/sys/firmware/acpi/tables/BATN";

fn entry(number: u16, label: &str, file: Option<&str>) -> Entry {
    Entry {
        number,
        label: label.into(),
        partition: file.map(|_| (1, 2048)),
        file: file.map(str::to_owned),
    }
}

/// A server that shim and GRUB start.
fn debian() -> System {
    let system = server()
        .with("/boot/efi/EFI/debian/shimaa64.efi", "shim")
        .with("/usr/bin/efibootmgr", "")
        .with(PACKAGED, [0x5a; 1000]);
    esp::fake::mount(&system, "rw,relatime");
    put_entry(&system, &entry(0, "UEFI Shell", None));
    put_entry(&system, &entry(3, "debian", Some(SHIM)));
    put_numbers(&system, "BootOrder", &[3, 0]);
    put_numbers(&system, "BootCurrent", &[3]);
    system
}

/// Does what is to be done, and returns the programs that were run.
fn done(system: &System, work: Result<Work, Error>) -> Vec<String> {
    let mut programs = Programs::default();
    let plan = work.expect("a plan").plan;
    plan.execute(&system.root(), &mut programs).expect("done");
    programs.calls
}

/// What firmware has once `baton install` was done.
fn installed_once(system: &System) {
    done(system, install(&system.root(), Wish::Once));
    put_entry(system, &entry(1, LABEL, Some(LOADER)));
    put_numbers(system, "BootNext", &[1]);
}

/// What it has once that boot was confirmed.
fn confirmed(system: &System) {
    installed_once(system);
    put_numbers(system, "BootNext", &[]);
    put_numbers(system, "BootOrder", &[1, 3, 0]);
}

#[track_caller]
fn assert_refused(system: &System, expected: &str) {
    let before = system.files();
    let error = install(&system.root(), Wish::Once)
        .expect_err("refused")
        .to_string();
    assert!(
        error.contains(expected),
        "expected {expected:?}, seen {error:?}"
    );
    assert!(!error.contains('\n'));
    assert_eq!(system.files(), before);
}

#[test]
fn first_boot_is_by_bootnext_and_leads_to_what_starts_the_system() {
    let system = debian();
    let calls = done(&system, install(&system.root(), Wish::Once));
    let expected = [
        r"efibootmgr --quiet --create-only --bootnum 0001 --disk /dev/vda --part 1 --label Baton --loader '\EFI\baton\baton.efi'",
        "efibootmgr --quiet --bootnext 0001",
    ];
    assert_eq!(calls, expected);
    let conf = system.root().text("/boot/efi/EFI/baton/baton.conf");
    assert_eq!(conf.as_deref(), Some("next=\\EFI\\debian\\shimaa64.efi"));
    let image = system.root().bytes("/boot/efi/EFI/baton/baton.efi");
    assert_eq!(image.as_deref(), Some(&[0x5a; 1000][..]));
}

#[test]
fn installing_again_changes_nothing() {
    for made in [installed_once as fn(&System), confirmed] {
        let system = debian();
        made(&system);
        let again = install(&system.root(), Wish::Once).expect("a plan");
        assert_eq!(again.plan, Plan::default(), "{}", again.plan);
    }
}

#[test]
fn a_new_version_replaces_the_file_alone_and_keeps_options() {
    let system = debian();
    confirmed(&system);
    let conf = "wait=20\nnext=\\EFI\\debian\\shimaa64.efi\n";
    system.put("/boot/efi/EFI/baton/baton.conf", conf);
    system.put(PACKAGED, "new");
    let calls = done(&system, install(&system.root(), Wish::Once));
    assert_eq!(calls, [""; 0]);
    assert_eq!(
        system
            .root()
            .text("/boot/efi/EFI/baton/baton.efi")
            .as_deref(),
        Some("new")
    );
    assert_eq!(
        system
            .root()
            .bytes("/boot/efi/EFI/baton/baton.conf")
            .as_deref(),
        Some(conf.as_bytes())
    );
}

#[test]
fn a_confirmed_boot_comes_before_the_one_that_it_starts() {
    let system = debian();
    installed_once(&system);
    put_numbers(&system, "BootOrder", &[0, 3]);
    let error = install(&system.root(), Wish::Confirm)
        .expect_err("not under Baton")
        .to_string();
    assert!(error.starts_with("this boot is not under Baton"), "{error}");
    system.put(TABLE, crate::evidence::fake::table(None, "", &[]));
    put_numbers(&system, "BootCurrent", &[1]);
    let calls = done(&system, install(&system.root(), Wish::Confirm));
    assert_eq!(calls, ["efibootmgr --quiet --bootorder 0000,0001,0003"]);
    put_numbers(&system, "BootOrder", &[0, 1, 3]);
    let again = install(&system.root(), Wish::Confirm).expect("a plan");
    assert_eq!(again.plan, Plan::default());
}

#[test]
fn uninstalling_leaves_what_was_there() {
    let system = debian();
    let before = system.files();
    let folder = system.root().path("/boot/efi/EFI/baton");
    for made in [installed_once as fn(&System), confirmed] {
        made(&system);
        let calls = done(&system, uninstall(&system.root()));
        let delete = "efibootmgr --quiet --bootnum 0001 --delete-bootnum";
        assert_eq!(calls.last().map(String::as_str), Some(delete));
        assert!(!folder.exists());
        // As efibootmgr leaves it.
        std::fs::remove_file(
            system
                .root()
                .path("/sys/firmware/efi/efivars/Boot0001-8be4df61-93ca-11d2-aa0d-00e098032b8c"),
        )
        .expect("the entry");
        std::fs::remove_file(
            system
                .root()
                .path("/sys/firmware/efi/efivars/BootNext-8be4df61-93ca-11d2-aa0d-00e098032b8c"),
        )
        .expect("the variable");
        put_numbers(&system, "BootOrder", &[3, 0]);
        assert_eq!(system.files(), before);
        let again = uninstall(&system.root()).expect("a plan");
        assert_eq!(
            (again.plan, again.then.as_str()),
            (Plan::default(), "Baton is not installed")
        );
    }
}

#[test]
fn a_file_of_the_users_stays_in_the_folder() {
    let system = debian();
    confirmed(&system);
    system.put("/boot/efi/EFI/baton/mine.txt", "mine");
    done(&system, uninstall(&system.root()));
    assert_eq!(system.root().names("/boot/efi/EFI/baton"), ["mine.txt"]);
}

#[test]
fn firmware_that_refuses_leaves_nothing_half_done() {
    for fails in ["--create-only", "--bootnext"] {
        let system = debian();
        let before = system.files();
        let plan = install(&system.root(), Wish::Once).expect("a plan").plan;
        let mut programs = Programs {
            fails: Some(fails),
            ..Programs::default()
        };
        plan.execute(&system.root(), &mut programs)
            .expect_err("it fails");
        assert_eq!(system.files(), before, "{fails}");
        assert!(!system.root().exists("/boot/efi/EFI/baton"));
        let removed = programs
            .calls
            .iter()
            .any(|call| call.ends_with("--delete-bootnum"));
        assert_eq!(removed, fails == "--bootnext");
    }
}

#[test]
fn each_obstacle_is_one_line() {
    let read_only = debian();
    esp::fake::mount(&read_only, "ro,relatime");
    assert_refused(&read_only, "is read-only: mount -o remount,rw /boot/efi");

    let unmounted = debian();
    unmounted.put("/proc/self/mountinfo", "");
    assert_refused(&unmounted, "no EFI system partition is mounted");

    let without = debian();
    std::fs::remove_file(without.root().path("/usr/bin/efibootmgr")).expect("it was there");
    assert_refused(&without, "apt-get install efibootmgr");

    let no_package = debian();
    std::fs::remove_file(no_package.root().path(PACKAGED)).expect("it was there");
    assert_refused(&no_package, "install the package baton");

    let virtual_machine = debian();
    virtual_machine.put("/dev/kmsg", "CPU: All CPU(s) started at EL1");
    assert_refused(&virtual_machine, "this is a virtual machine");

    let called = debian();
    put_entry(&called, &entry(7, LABEL, Some("\\EFI\\other.efi")));
    assert_refused(&called, "Boot0007 is called Baton and starts another file");

    let elsewhere = debian();
    let mut other = entry(3, "debian", Some(SHIM));
    other.partition = Some((2, 999));
    put_entry(&elsewhere, &other);
    assert_refused(
        &elsewhere,
        "Boot0003 (debian), is not on the partition on /boot/efi",
    );

    let secure = debian();
    crate::boot_entries::fake::put(&secure, "SecureBoot", &[1]);
    assert_refused(
        &secure,
        "Secure Boot is on, and /usr/lib/baton/baton.efi has no signature",
    );
}

#[test]
fn a_partition_that_is_full_is_said_before_anything_is_done() {
    let system = debian();
    let boot = BootEntries::read(&system.root()).expect("entries");
    let mut found = Found::read(&system.root(), boot).expect("a partition");
    found.esp.free = 100 << 10;
    let error = found.install(Wish::Once).expect_err("full").to_string();
    assert!(
        error.ends_with("is full: 100 KiB are free, 129 KiB are needed"),
        "{error}"
    );
    // What is there already needs no room.
    found.image = found.packaged.clone();
    found.conf = Some("next=\\x.efi".into());
    assert!(found.install(Wish::Once).is_ok());
}

#[test]
fn a_disk_without_an_entry_is_started_by_its_removable_loader() {
    let system = debian().with("/boot/efi/EFI/BOOT/BOOTAA64.EFI", "grub");
    put_numbers(&system, "BootCurrent", &[0]);
    done(&system, install(&system.root(), Wish::Once));
    let conf = system.root().text("/boot/efi/EFI/baton/baton.conf");
    assert_eq!(conf.as_deref(), Some("next=\\EFI\\BOOT\\BOOTAA64.EFI"));
}

#[test]
fn a_signature_is_seen() {
    let mut file = vec![0; 0x200];
    assert!(!is_signed(&file));
    file[LFANEW] = 0x40;
    file[0x40 + CERTIFICATES + 1] = 1;
    assert!(is_signed(&file));
    assert!(!is_signed(&[0xff; 64]));
}

#[test]
fn package_is_told_that_it_is_needed() {
    let system = debian();
    assert_eq!(installed(&system.root()), None);
    confirmed(&system);
    assert_eq!(
        installed(&system.root()).as_deref(),
        Some("boot entry Boot0001")
    );
}
