//! U-Boot starts the monitor from a disk, by itself, in each way that boards are started.

use baton_qemu::{Disk, Machine, kexec, linux, paths, report};
use baton_tests::{Boot, boot_u_boot, machine};

fn with_card(way: &str, smp: u32) -> Machine {
    Machine {
        disks: vec![Disk {
            file: paths::card(way),
            serial: "card",
            writable: false,
        }],
        ..machine(smp)
    }
}

/// Starts from the card of one way, and expects Debian's kernel and the next one, each with all CPUs.
#[track_caller]
fn starts_by(way: &str, smp: u32, seconds: u64) -> Boot {
    let boot = boot_u_boot(&with_card(way, smp), seconds);
    boot.expect("U-Boot 20");
    boot.expect_ok(linux::check(&boot, 1, smp));
    boot.expect(kexec::STARTING);
    boot.expect_no(kexec::BYE);
    if report::takeovers(&boot).len() != 1 {
        boot.fail("expected one kexec carried by the monitor");
    }
    boot
}

#[test]
fn starts_by_a_script_with_booti() {
    starts_by("script", 4, 300).expect("Executing script");
}

#[test]
fn starts_by_a_script_with_booti_on_80_cpus() {
    starts_by("script", 80, 900);
}

#[test]
fn starts_by_a_fit_with_bootm() {
    starts_by("fit", 4, 300).expect("Loading loadables from FIT Image");
}

#[test]
fn starts_by_extlinux() {
    starts_by("extlinux", 4, 300).expect("Retrieving file: /baton-linux.img");
}

/// A U-Boot that has no EL2, or leaves it, starts the monitor all the same.
#[test]
fn has_no_el2() {
    let boot = boot_u_boot(
        &Machine {
            el2: false,
            ..with_card("script", 4)
        },
        120,
    );
    boot.expect("U-Boot 20");
    boot.expect_error(&["EL1", "needs EL2", "boot loader"]);
    boot.expect_end();
}
