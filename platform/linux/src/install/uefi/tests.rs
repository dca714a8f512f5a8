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

/// A file that Baton knows for its own.
fn baton() -> Vec<u8> {
    let mut file = b"MZ\nbaton,1,".to_vec();
    file.resize(1000, 0x5a);
    file
}

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
        .with(PACKAGED, baton());
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
    assert_eq!(image, Some(baton()));
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

    let hidden = debian();
    let variables = hidden.root().path(VARIABLES);
    std::fs::remove_dir_all(&variables).expect("variables");
    assert_refused(&hidden, "boot it without efi=noruntime");
    std::fs::create_dir(&variables).expect("a folder");
    assert_refused(&hidden, "mount -t efivarfs efivarfs");

    let foreign = debian();
    foreign.put("/boot/efi/EFI/baton/baton.efi", "another's");
    assert_refused(
        &foreign,
        "/boot/efi/EFI/baton/baton.efi is there, and is no file of Baton's: move it away first",
    );
    let nothing = uninstall(&foreign.root()).expect("a plan");
    assert_eq!(nothing.plan, Plan::default(), "{}", nothing.plan);

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
fn variables_that_are_read_only_are_said_before_anything_is_done() {
    let system = debian();
    confirmed(&system);
    let boot = BootEntries::read(&system.root()).expect("entries");
    let mut found = Found::read(&system.root(), boot).expect("a partition");
    assert!(!found.variables_read_only);
    found.variables_read_only = true;
    for work in [found.install(Wish::Once), found.uninstall()] {
        let error = work.expect_err("read-only").to_string();
        assert!(
            error.ends_with("read-only: mount -o remount,rw /sys/firmware/efi/efivars"),
            "{error}"
        );
    }
}

#[test]
fn a_removal_that_fails_puts_entry_and_order_back() {
    let system = debian();
    confirmed(&system);
    // A folder in its place cannot be removed as a file.
    let image = system.root().path("/boot/efi/EFI/baton/baton.efi");
    std::fs::remove_file(&image).expect("it was there");
    system.put("/boot/efi/EFI/baton/baton.efi/file", "");
    let before = system.files();
    let plan = uninstall(&system.root()).expect("a plan").plan;
    let mut programs = Programs::default();
    plan.execute(&system.root(), &mut programs)
        .expect_err("it fails");
    let expected = [
        "efibootmgr --quiet --bootorder 0003,0000",
        "efibootmgr --quiet --bootnum 0001 --delete-bootnum",
        r"efibootmgr --quiet --create-only --bootnum 0001 --disk /dev/vda --part 1 --label Baton --loader '\EFI\baton\baton.efi'",
        "efibootmgr --quiet --bootorder 0001,0003,0000",
    ];
    assert_eq!(programs.calls, expected);
    assert_eq!(system.files(), before);
}

/// A variable of firmware's, as efivarfs has it.
fn remove_variable(system: &System, name: &str) {
    let path = format!("{VARIABLES}/{name}-8be4df61-93ca-11d2-aa0d-00e098032b8c");
    std::fs::remove_file(system.root().path(path)).expect("the variable");
}

#[test]
fn files_go_though_the_entry_was_removed_by_hand() {
    let system = debian();
    installed_once(&system);
    remove_variable(&system, "Boot0001");
    assert_eq!(installed(&system.root()), None);
    // It was cut off while it was written.
    system.put("/boot/efi/EFI/baton/baton.efi.new", "half");
    let calls = done(&system, uninstall(&system.root()));
    assert_eq!(calls, ["efibootmgr --quiet --delete-bootnext"]);
    assert!(!system.root().exists("/boot/efi/EFI/baton"));
}

#[test]
fn a_number_that_the_order_still_has_is_not_taken() {
    let system = debian();
    put_numbers(&system, "BootOrder", &[1, 3, 0]);
    put_numbers(&system, "BootNext", &[2]);
    let calls = done(&system, install(&system.root(), Wish::Once));
    assert!(
        calls[0].contains("--create-only --bootnum 0004 "),
        "{calls:?}"
    );
}

#[test]
fn an_order_that_was_changed_by_hand_is_kept_but_for_baton() {
    let system = debian();
    confirmed(&system);
    put_numbers(&system, "BootOrder", &[0, 3, 1]);
    let calls = done(&system, install(&system.root(), Wish::Once));
    assert_eq!(calls, ["efibootmgr --quiet --bootnext 0001"]);
    system.put(TABLE, crate::evidence::fake::table(None, "", &[]));
    let calls = done(&system, install(&system.root(), Wish::Confirm));
    assert_eq!(calls, ["efibootmgr --quiet --bootorder 0000,0001,0003"]);
    let calls = done(&system, uninstall(&system.root()));
    assert_eq!(calls[0], "efibootmgr --quiet --bootorder 0000,0003");
}

#[test]
fn baton_of_another_disk_does_not_hold_this_package() {
    let system = debian();
    let mut other = entry(1, LABEL, Some(LOADER));
    other.partition = Some((2, 999));
    put_entry(&system, &other);
    assert_eq!(installed(&system.root()), None);
    // Where no partition is mounted, it may be this one's.
    system.put("/proc/self/mountinfo", "");
    assert!(installed(&system.root()).is_some());
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
