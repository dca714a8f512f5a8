// SPDX-License-Identifier: Apache-2.0
//! Devices behind an SMMU with stage 2 of the monitor's in front of its streams (`smmu=fence`), in QEMU 10.

use crate::audit;
use crate::dma::{with_edus, with_smmu};
use crate::fence_guests::expect_network;
use crate::probe;
use baton_qemu::{Machine, Task, kexec, linux, paths, scratch};
use baton_tests::{Boot, Scratch, boot, boot_and_look, boot_and_save, machine, number};
use std::fs;

/// A machine with the fence, and what that says at boot.
pub fn fenced() -> Machine {
    Machine {
        baton: "smmu=fence".into(),
        ..with_smmu(machine(4))
    }
}

/// The same with a device that writes where it is told.
fn with_edu(mut machine: Machine) -> Machine {
    let edu = "edu,dma_mask=0xffffffffffffffff";
    machine.extra.extend(["-device", edu].map(str::to_owned));
    machine
}

pub const FENCED: &str = "its devices reach the guest's memory alone";

/// How Linux has DMA translated: it takes each translation back at once, or some time later, or there are none.
pub const MODES: [(&str, &str); 3] = [
    ("strict", "iommu.strict=1"),
    ("lazy", "iommu.strict=0"),
    ("passthrough", "iommu.passthrough=1"),
];

/// The fence must be there, and each of the kernels 0 to `last` must have set the SMMU up, have devices behind it, and
/// no event of theirs.
#[track_caller]
pub fn expect_a_driver(boot: &Boot, last: u32) {
    boot.expect(FENCED);
    for (line, expected) in [
        // The kernel's tree tells it too.
        (
            "baton: SMMU at 0x9050000: shut until a driver sets it up",
            last,
        ),
        ("Adding to iommu group 0", last + 1),
    ] {
        boot.expect_lines(expected as usize, line);
    }
    expect_no_complaint(boot);
}

/// Linux's driver must not complain; but a kernel that leaves shuts its SMMU before it stops its CPUs, and what one of
/// them still asks of it then is not answered, on any machine.
#[track_caller]
fn expect_no_complaint(boot: &Boot) {
    const COMPLAINTS: [&str; 4] = ["event 0x", "event: ", "global error", "CMDQ error"];
    const UNANSWERED: &str = "CMD_SYNC timeout";
    let mut leaves = false;
    for line in boot.all("") {
        let has = |pattern| line.text.contains(pattern);
        if has("Booting Linux") {
            leaves = false;
        } else if has("guest: kexec -e") || has("guest: leaving by ") {
            leaves = true;
        } else if has("arm-smmu-v3 ")
            && (COMPLAINTS.into_iter().any(has) || has(UNANSWERED) && !leaves)
        {
            boot.fail(format_args!(
                "expected no complaint of the driver's, seen \"{}\"",
                line.text
            ));
        }
    }
}

/// Debian's kernel, three times, each with disk and network behind the fence.
#[test]
fn linux_has_its_disk_and_network_behind_it_in_every_kernel() {
    for (name, append) in MODES {
        let files = Scratch::new(&format!("fence-{name}"));
        let disk = scratch::create(&files.path("disk"), 3).unwrap();
        let mut machine = fenced();
        machine.disks.push(disk.clone());
        machine.echo();
        let append = format!("baton.net=on {append}");
        let boot = boot(&machine, &Task::Disk { times: 3 }.guest(&append), 400);
        boot.expect_ok(linux::check(&boot, 3, machine.smp));
        expect_a_driver(&boot, 3);
        boot.expect(kexec::STARTING);
        boot.expect_no(kexec::BYE);
        boot.expect_ok(scratch::check(&boot, &disk, 3));
        expect_network(&boot, 3);
        boot.expect_end();
    }
}

/// What a device that is aimed there changes in the monitor's memory: the SMMU untouched, bypass, stage 1, an entry
/// with words of the guest's, the SMMU turned off; and where events go.
const AIMED: [usize; 5] = [0x38, 0x50, 0x108, 0x130, 0x158];
const EVENTS: usize = 0x1c0;

#[test]
fn no_device_reaches_the_monitor() {
    let machine = with_edu(fenced());
    let boot = boot_and_look("fence-probe", &machine, "test=fence", 120);
    boot.expect(FENCED);
    boot.expect("probe: the SMMU shows no stage 2");
    boot.expect("SMMU_EVENTQ_BASE leads outside its memory; it is dropped");
    boot.expect("probe: events in the monitor's memory: the queue is off");
    boot.expect("probe: SMMU turned off: a write does not land");
}

/// `SEED=` and `CALLS=` (each CPU's) repeat a run, or make it longer.
#[test]
fn whatever_all_cpus_store_no_device_reaches_the_monitor() {
    let machine = with_edu(fenced());
    let (seed, calls) = (number("SEED", 1), number("CALLS", 20_000));
    let append = format!("test=fence-fuzz seed={seed} calls={calls}");
    let boot = boot_and_look("fence-fuzz", &machine, &append, 120 + calls / 500);
    boot.expect_no("baton: error: ");
    boot.expect_no("panicked at");
}

/// By instructions of a nanosecond each: an unmap, of a TLBI and a CMD_SYNC, with the fence and without.
#[test]
fn an_unmap_costs_one_exit_of_200_instructions_at_most() {
    let [with, without] = ["smmu=fence", ""].map(|baton| {
        let mut machine = with_smmu(machine(1));
        machine.baton = baton.to_owned();
        let icount = ["-icount", "shift=0,sleep=off"].map(str::to_owned);
        machine.extra.extend(icount);
        let boot = boot(&machine, &probe::guest("test=fence-cost calls=1000"), 120);
        let line = boot.expect("cost: unmap: 1000 times in ");
        let words = line.split_once(" times in ").map_or("", |(_, words)| words);
        let ns = words
            .split(' ')
            .next()
            .and_then(|word| word.parse::<f64>().ok());
        ns.unwrap_or_else(|| boot.fail(format_args!("expected nanoseconds, seen \"{line}\"")))
            / 1000.0
    });
    let cost = with - without;
    println!("{cost:.0} instructions an unmap, of {with:.0}");
    assert!(
        cost > 0.0 && cost <= 200.0,
        "expected at most 200, seen {cost:.0}"
    );
}

/// A kexec with devices that write 100 ms later, without these steps.
fn kexec_without(steps: &str) -> Boot {
    let mut machine = with_smmu(with_edus());
    machine.baton = format!("smmu=fence skip-steps={steps}");
    let boot = boot(&machine, &probe::guest("test=dma"), 120);
    boot.expect(FENCED);
    boot
}

/// By the SMMU alone.
#[test]
fn what_an_old_kernel_has_started_does_not_land() {
    let boot = kexec_without("pci-dma");
    boot.expect("probe: PASS");
    boot.expect("shut until a driver sets it up");
    boot.expect_end();
}

/// The fence is open to the next kernel's memory too.
#[test]
fn what_an_old_kernel_has_started_lands_if_nothing_ends_it() {
    let boot = kexec_without("pci-dma,smmu");
    boot.expect("probe: FAIL dma: expected no device to write, seen 2 of 2");
}

#[test]
fn audit_finds_nothing_of_an_smmu_with_it() {
    let mut machine = audit::with(fenced(), audit::MAX, true);
    machine.baton = "smmu=fence".into();
    audit::clean_on(&machine, 120);
}

/// Each way of them, without the fence.
#[test]
fn a_device_reaches_the_monitor_without_it() {
    let machine = with_edu(with_smmu(machine(4)));
    let (boot, memory) = boot_and_save("no-fence-probe", &machine, "test=fence", 120);
    boot.expect("probe: the SMMU shows stage 2");
    boot.expect("probe: SMMU turned off: a write lands");
    let image = fs::read(paths::monitor()).unwrap();
    for at in AIMED {
        let (before, after) = (&image[at..at + 8], &memory[at..at + 8]);
        assert!(
            before.iter().any(|byte| *byte != 0),
            "{at:#x} is zero anyway"
        );
        assert_eq!(after, [0; 8], "the monitor's memory at {at:#x}");
    }
    let events = EVENTS..EVENTS + 32;
    assert_ne!(
        memory[events.clone()],
        image[events],
        "events in the monitor's memory"
    );
}
