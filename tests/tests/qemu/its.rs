// SPDX-License-Identifier: Apache-2.0
//! Debian's kernel on a machine with an ITS, and a disk that sends its interrupts as messages to it.

use baton_qemu::{Machine, Task, kexec, linux, scratch};
use baton_tests::{Boot, Scratch, boot, machine, number};

/// Every generation writes and reads the disk; `GENERATIONS=` asks for more than three.
#[test]
fn messages_work_in_every_generation() {
    messages_work(number("GENERATIONS", 3), "");
}

/// On an interrupt controller that cannot switch LPIs off again, as `lpis=keep` has it.
#[test]
fn messages_work_where_lpis_stay_on() {
    let boot = messages_work(2, "lpis=keep");
    boot.expect("baton: LPIs stay on, with tables at ");
    boot.expect("GICv3: Using preallocated redistributor tables");
}

#[track_caller]
fn messages_work(times: u32, baton: &str) -> Boot {
    let files = Scratch::new(&format!("its-{times}"));
    let disk = scratch::create(&files.path("disk"), times).unwrap();
    let machine = Machine {
        its: true,
        disks: vec![disk.clone()],
        baton: baton.to_owned(),
        ..machine(4)
    };
    let guest = Task::Disk { times }.guest("");
    let boot = boot(&machine, &guest, 120 + 60 * u64::from(times));
    boot.expect_ok(linux::check(&boot, times, 4));
    boot.expect_ok(scratch::check(&boot, &disk, times));
    boot.expect("ITS-MSI");
    // The monitor lets the ITS follow no table of two levels, which this kernel asks for first.
    boot.expect("Devices @");
    boot.expect_no("(indirect, esz");
    boot.expect_no(kexec::BYE);
    boot
}

/// Without the monitor, the same kernel does not survive its own kexec.
#[test]
fn the_stock_kernel_dies() {
    let machine = Machine {
        its: true,
        monitor: None,
        ..machine(4)
    };
    let task = Task::Kexec {
        times: 1,
        checks: false,
    };
    let boot = boot(&machine, &task.guest(""), 60);
    boot.expect(kexec::BYE);
    boot.expect("Using preallocated redistributor tables");
    boot.expect("(indirect, esz");
    boot.expect_no("guest: generation 1");
}
