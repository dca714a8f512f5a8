// SPDX-License-Identifier: Apache-2.0
//! The bare-metal guest that tries the monitor.

use baton_qemu::report::Exits;
use baton_qemu::{Guest, Machine, paths};
use baton_tests::{Boot, Times, boot, machine};

/// The probe with a command line.
pub fn guest(append: &str) -> Guest {
    Guest {
        kernel: paths::probe(),
        initrd: None,
        append: append.to_owned(),
    }
}

/// Runs the probe with a command line on `smp` vCPUs.
#[track_caller]
fn run(smp: u32, append: &str, seconds: u64) {
    run_on(&machine(smp), append, seconds);
}

#[track_caller]
pub fn run_on(machine: &Machine, append: &str, seconds: u64) -> Boot {
    run_guest(machine, &guest(append), seconds)
}

#[track_caller]
fn run_guest(machine: &Machine, guest: &Guest, seconds: u64) -> Boot {
    let boot = boot(machine, guest, seconds);
    boot.expect_no("baton: error: ");
    boot.expect_no("probe: FAIL");
    boot.expect("probe: PASS");
    boot.expect_end();
    boot
}

#[test]
fn reboots_on_1_cpu() {
    run(1, "test=kexec generations=3", 120);
}

#[test]
fn reboots_on_4_cpus() {
    run(4, "test=kexec generations=3", 120);
}

#[test]
fn reboots_on_4_cpus_without_an_its() {
    let machine = Machine {
        its: false,
        ..machine(4)
    };
    run_on(&machine, "test=kexec generations=3", 120);
}

/// Many pages have the same source, and the list has pages of its own.
#[test]
fn reboots_with_a_list_of_10000_pages() {
    run(4, "test=kexec list=10000 generations=2", 180);
}

#[test]
fn a_list_is_refused_for_its_last_entry() {
    let append = "test=refusal state=wfi list=2000 calls=3";
    let refused = run_on(&machine(4), append, 120);
    refused.expect("probe: cost: refusal: 1 times in ");
}

#[test]
fn lists_are_refused_100_times_under_load() {
    lists_are_refused(8, 100);
}

#[test]
fn lists_are_refused_on_80_cpus() {
    lists_are_refused(80, 3);
}

#[track_caller]
fn lists_are_refused(cpus: u32, times: u32) {
    let append = format!("test=refusals list=500 calls={times}");
    let boot = run_on(&machine(cpus), &append, 300);
    boot.expect(&format!("probe: refusals: {times} in a row"));
    boot.expect_no("arrived late");
}

#[test]
fn reboots_on_8_cpus() {
    run(8, "test=kexec generations=3", 180);
}

/// What the boot CPU does while no other has anything to do, but for phase 2: all else is done beside the copy.
#[test]
fn the_boot_cpu_is_alone_for_few_instructions() {
    is_alone_for_few_instructions(machine(8));
}

#[track_caller]
pub fn is_alone_for_few_instructions(mut machine: Machine) {
    machine.baton = "report=rows".into();
    machine
        .extra
        .extend(["-icount", "shift=0,sleep=off"].map(str::to_owned));
    let boot = run_on(&machine, "test=kexec state=wfi", 120);
    let times = Times::of(&boot);
    for (part, seen, most) in [
        ("to the kick", times.kicked, 4000.0),
        ("after the copy", times.entered - times.phase3_end, 4000.0),
    ] {
        println!("{seen:.0} instructions {part}");
        if seen > most {
            boot.fail(format_args!(
                "expected at most {most} instructions {part}, seen {seen:.0}"
            ));
        }
    }
}

#[test]
fn reboots_on_80_cpus() {
    run(80, "test=kexec generations=2", 600);
}

#[test]
fn reboots_on_130_cpus() {
    run(130, "test=kexec generations=1", 600);
}

#[test]
fn reboots_by_its_last_cpu() {
    run(4, "test=kexec generations=2 caller=last", 120);
}

#[test]
fn psci_on_1_cpu() {
    run(1, "test=psci", 120);
}

#[test]
fn psci_on_8_cpus() {
    run(8, "test=psci", 180);
}

#[test]
fn psci_on_130_cpus() {
    run(130, "test=psci", 600);
}

/// A guest that is neither Linux nor made to look like it is entered at its first byte.
#[test]
fn reboots_without_an_image_header() {
    let guest = Guest {
        kernel: paths::probe_flat(),
        ..guest("test=kexec generations=2")
    };
    run_guest(&machine(4), &guest, 120);
}

/// SGIs do not end their sleep: they are helped from outside.
#[test]
fn takes_cpus_that_no_sgi_wakes() {
    run(4, "test=kexec generations=2 state=low-priority-wfi", 120);
}

#[test]
fn hostile_lists_are_refused() {
    run(4, "test=hostile-list", 120);
}

#[test]
fn the_monitors_memory_is_out_of_reach() {
    let boot = run_on(&machine(4), "test=monitor-access", 120);
    boot.expect(" can be read, and not written");
}

/// On a CPU of 40 bits of address and on one of 44, by a device tree.
#[test]
fn devices_are_never_executed() {
    for cpu in ["cortex-a53", "cortex-a57"] {
        let machine = Machine {
            cpu: cpu.to_owned(),
            baton: "log=debug".to_owned(),
            ..machine(2)
        };
        let boot = run_on(&machine, "test=device-fetch", 60);
        // QEMU's window of PCI ends at 1 TiB.
        boot.expect("stage 2: 40 bits of address, walked from level 1, 2 tables at a root");
        boot.expect("; 1 of 2 GiB with memory are in smaller blocks");
    }
}

/// 600 GiB on CPUs of 40 bits of address, of which few pages are ever used.
#[test]
fn memory_beyond_one_table_is_the_guests() {
    let memory = "memory-backend-ram,id=memory,size=600G,reserve=off";
    let machine = Machine {
        cpu: "cortex-a53".to_owned(),
        mem: 600 << 10,
        baton: "log=debug tree=0x60000000".to_owned(),
        extra: ["-object", memory, "-machine", "memory-backend=memory"]
            .map(String::from)
            .into(),
        ..machine(1)
    };
    let boot = run_on(&machine, "test=far-memory", 60);
    boot.expect("; 1 of 600 GiB with memory are in smaller blocks");
}

#[test]
fn the_os_lock_is_the_guests() {
    run(4, "test=os-lock", 60);
}

#[test]
fn an_injected_exception_is_as_the_cpus_own() {
    let machine = Machine {
        cpu: "max".to_owned(),
        extra: ["-machine", "mte=on"].map(String::from).into(),
        ..machine(1)
    };
    let boot = run_on(&machine, "test=injected", 60);
    boot.expect("own exceptions; PAN true, UAO true, DIT true, SSBS true, TCO true");
}

#[test]
fn idle_cpus_do_not_exit() {
    run(8, "test=idle", 120);
}

/// Exits of a probe that does each of what `test=cost` measures so many times.
#[track_caller]
fn exits_of(times: u64) -> Exits {
    let boot = boot(
        &machine(1),
        &guest(&format!("test=cost calls={times}")),
        120,
    );
    boot.expect("probe: PASS");
    let line = boot.expect("baton: exits so far: ");
    Exits::parse(line).unwrap_or_else(|| boot.fail("expected the exits by their cause"))
}

#[test]
fn a_batch_of_its_commands_is_one_exit() {
    const TIMES: u64 = 100;
    let (none, some) = (exits_of(0), exits_of(TIMES));
    // Of two commands for an LPI, and of many.
    let expected = Exits {
        calls: none.calls + TIMES,
        others: none.others + 2 * TIMES,
        ..none
    };
    assert_eq!(some, expected, "exits");
}
