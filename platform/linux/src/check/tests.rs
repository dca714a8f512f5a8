// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::root::fake::System;

/// FADT, MADT and SPCR of QEMU's virt, one after another.
const TABLES_OF_VIRT: &[u8] = include_bytes!("../../../../src/core/acpi/fixtures/virt-4.tables");

/// A server on which Baton can be tried.
pub fn server() -> System {
    let mut system = System::new()
        .with("/dev/kmsg", "6,1,0,-;CPU: All CPU(s) started at EL2\n")
        .with(
            "/proc/meminfo",
            "MemTotal: 2000000 kB\nMemAvailable:    1500000 kB\n",
        )
        .with("/proc/sys/kernel/kexec_load_disabled", "0\n")
        .with("/proc/sys/kernel/osrelease", "6.1.0-56-arm64\n")
        .with(
            "/proc/cmdline",
            "BOOT_IMAGE=/boot/vmlinuz root=/dev/vda2 quiet\n",
        )
        .with("/sys/kernel/kexec_loaded", "0\n")
        .with("/usr/sbin/kexec", "")
        .with(
            "/sys/kernel/security/lockdown",
            "[none] integrity confidentiality\n",
        );
    let mut rest = TABLES_OF_VIRT;
    while let Some(length) = rest.get(4..).and_then(|rest| rest.first_chunk()) {
        let (table, behind) = rest.split_at(u32::from_le_bytes(*length) as usize);
        let name = String::from_utf8_lossy(&table[..4]).into_owned();
        system = system.with(&format!("{TABLES}/{name}"), table);
        rest = behind;
    }
    system
}

fn findings(system: &System) -> Vec<Finding> {
    let root = system.root();
    [machine(&root), kexec(&root, false)].concat()
}

#[track_caller]
fn assert_obstacle(system: &System, expected: &str) {
    let findings = findings(system);
    let seen = obstacle(&findings).unwrap_or("none");
    assert!(
        seen.contains(expected),
        "expected {expected:?}, seen {seen:?}"
    );
}

#[test]
fn a_server_is_found_fit_and_described() {
    let findings = findings(&server());
    assert_eq!(obstacle(&findings), None);
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    let expected = [
        "ok    EL2          the kernel was started at EL2",
        "ok    machine      4 CPUs, described by ACPI",
        "ok    GIC          GICv3 or later, 1 ITS",
        "ok    PSCI         by SMC",
        "ok    console      a UART at 0x9000000",
        "ok    memory       1464 MiB are free",
        "ok    kexec        allowed",
        "ok    lockdown     none",
        "ok    KVM          no virtual machines run; there will be no KVM under Baton",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn each_obstacle_is_one_line() {
    let cases: [(&str, &str, &str); 8] = [
        (
            "/dev/kmsg",
            "6,1,0,-;CPU: All CPU(s) started at EL1\n",
            "this is a virtual machine",
        ),
        ("/dev/kmsg", "", "not known: its first messages are gone"),
        ("/proc/cmdline", "kvm-arm.mode=protected", "EL2 is KVM's"),
        (
            "/proc/meminfo",
            "MemAvailable: 100000 kB",
            "97 MiB of memory are free, 256 MiB are needed",
        ),
        (
            "/proc/sys/kernel/kexec_load_disabled",
            "1\n",
            "kernel.kexec_load_disabled=1",
        ),
        (
            "/proc/sys/kernel/kexec_load_limit_reboot",
            "0\n",
            "kernel.kexec_load_limit_reboot=0",
        ),
        (
            "/sys/kernel/security/lockdown",
            "none [integrity] confidentiality\n",
            "locked down (integrity)",
        ),
        ("/sys/firmware/acpi/tables/APIC", "APIC", "ACPI: "),
    ];
    for (path, content, expected) in cases {
        let system = server();
        system.put(path, content);
        assert_obstacle(&system, expected);
        let findings = findings(&system);
        assert!(!obstacle(&findings).unwrap_or_default().contains('\n'));
    }
}

#[test]
fn what_is_not_there_is_said() {
    for (path, expected) in [
        ("/sys/kernel/kexec_loaded", "built without kexec"),
        ("/usr/sbin/kexec", "apt-get install kexec-tools"),
        ("/sys/firmware/acpi/tables/FACP", "FACP cannot be read"),
    ] {
        let system = server();
        std::fs::remove_file(system.root().path(path)).expect("it was there");
        assert_obstacle(&system, expected);
    }
}

#[test]
fn a_kernel_under_baton_has_nothing_to_try() {
    let table = crate::evidence::fake::table(None, "", &[]);
    let system = server().with("/sys/firmware/acpi/tables/BATN", table);
    assert_obstacle(&system, "this kernel runs under Baton already");
}

#[test]
fn virtual_machines_are_not_ended_unasked() {
    let system = server().with_link("/proc/42/fd/9", "anon_inode:kvm-vm");
    assert_obstacle(
        &system,
        "1 virtual machines run, and would end (process 42)",
    );
    assert_eq!(obstacle(&kexec(&system.root(), true)), None);
}

#[test]
fn secure_boot_is_read_from_its_variable() {
    let path = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    for (value, expected) in [(1, true), (0, false)] {
        let system = System::new().with(path, [6, 0, 0, 0, value]);
        assert_eq!(secure_boot(&system.root()), expected);
    }
    assert!(!secure_boot(&System::new().root()));
}
