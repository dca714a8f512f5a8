// SPDX-License-Identifier: Apache-2.0
//! The probe's audit of what the next kernel finds of the one before it, and that it does find what a
//! skipped step leaves.

use crate::probe;
use baton_abi::steps;
use baton_qemu::{Disk, Machine, Task, kexec, paths};
use baton_tests::{Boot, boot, machine};

/// Everything that QEMU has: SVE, SME, pointer authentication.
pub const MAX: &str = "max,pauth-impdef=on";

/// A machine with memory tagging too, where the CPU can have it.
fn machine_with(cpu: &str, its: bool, smp: u32) -> Machine {
    with(machine(smp), cpu, its)
}

/// The same of any machine.
pub fn with(mut machine: Machine, cpu: &str, its: bool) -> Machine {
    machine.cpu = cpu.to_owned();
    machine.its = its;
    if cpu == MAX {
        machine.extra.extend(["-machine".into(), "mte=on".into()]);
    }
    machine
}

/// A machine with a bridge of PCI more.
fn with_bridge(mut machine: Machine) -> Machine {
    let bridge = ["-device", "pci-bridge,chassis_nr=1,msi=off"];
    machine.extra.extend(bridge.map(str::to_owned));
    machine
}

/// How many rows of `step` a line counts: `probe: <what>: <step>: <some> of <all> rows…`.
fn rows(boot: &Boot, what: &str, step: &str) -> u32 {
    let line = boot.expect(&format!("probe: {what}: {step}: "));
    let count = line.rsplit(": ").next();
    let some = count.and_then(|count| count.split(' ').next()?.parse().ok());
    some.unwrap_or_else(|| boot.fail(format_args!("expected a number of rows, seen \"{line}\"")))
}

/// The next kernel must find nothing; before the reboot, there must have been something to clear for
/// every step that the machine has hardware for.
#[track_caller]
fn clean(cpu: &str, its: bool, smp: u32, seconds: u64) {
    clean_on(&machine_with(cpu, its, smp), seconds);
}

#[track_caller]
fn clean_with_its_or_not(cpu: &str) {
    for its in [true, false] {
        clean(cpu, its, 4, 120);
    }
}

#[track_caller]
pub fn clean_on(machine: &Machine, seconds: u64) {
    let (cpu, its) = (machine.cpu.as_str(), machine.its);
    let boot = boot(
        &with_bridge(machine.clone()),
        &probe::guest("test=audit"),
        seconds,
    );
    boot.expect("probe: PASS");
    boot.expect_no("DIFFERS");
    boot.expect_no("baton: error: ");
    boot.expect_end();
    for step in steps::AUDITED {
        let there = match step {
            steps::ENTRY | steps::TRACE => continue,
            steps::PAUTH => cpu == MAX,
            steps::LPIS | steps::ITS => its,
            steps::SMMU => machine.smmu,
            _ => true,
        };
        let left = rows(&boot, "left", step);
        if there != (left > 0) {
            boot.fail(format_args!(
                "expected rows of {step}: {there}, seen {left}"
            ));
        }
    }
}

/// Where steps are skipped, the next kernel must find all that was left for them to clear, and
/// nothing else.
#[track_caller]
fn finds_what_is_left_without(steps: &str) {
    finds_what_is_left_without_on(machine_with(MAX, true, 4), steps);
}

#[track_caller]
pub fn finds_what_is_left_without_on(machine: Machine, steps: &str) {
    let mut machine = with_bridge(machine);
    machine.baton = format!("skip-steps={steps}");
    let boot = boot(&machine, &probe::guest("test=audit"), 120);
    boot.expect("probe: FAIL audit: ");
    boot.expect_end();
    for step in steps::AUDITED {
        let left = if steps.split(',').any(|skipped| skipped == step) {
            rows(&boot, "left", step)
        } else {
            0
        };
        let found = rows(&boot, "audit", step);
        if found != left {
            boot.fail(format_args!(
                "rows of {step} that differ: expected {left}, seen {found}"
            ));
        }
    }
}

#[test]
fn finds_nothing_on_max() {
    clean_with_its_or_not(MAX);
}

#[test]
fn finds_nothing_on_neoverse_n1() {
    clean_with_its_or_not("neoverse-n1");
}

#[test]
fn finds_nothing_on_cortex_a57() {
    clean_with_its_or_not("cortex-a57");
}

#[test]
fn finds_nothing_on_cortex_a72() {
    clean_with_its_or_not("cortex-a72");
}

#[test]
fn finds_nothing_on_1_cpu() {
    clean(MAX, true, 1, 120);
}

#[test]
fn finds_nothing_on_80_cpus() {
    clean("neoverse-n1", true, 80, 600);
}

/// The step `sgis` drops SGIs that come after `redistributor` has dropped all: what it does shows only
/// where that one is skipped too. The step `pci-dma` finds the bridges for `pci-bridges`.
#[test]
fn finds_what_a_step_would_have_cleared() {
    for steps in [
        steps::TIMERS,
        steps::PMU,
        steps::DEBUG,
        steps::VECTORS,
        steps::PAUTH,
        steps::EL1_REGISTERS,
        steps::CPU_INTERFACE,
        steps::REDISTRIBUTOR,
        "redistributor,sgis",
        steps::LPIS,
        "pci-dma,pci-bridges",
        steps::PCI_BRIDGES,
        steps::DISTRIBUTOR,
        steps::SPIS,
        steps::ITS,
    ] {
        finds_what_is_left_without(steps);
    }
}

/// While CPUs go one by one, shared interrupts lead to the one that stays, whatever becomes of them
/// at the end.
#[test]
fn serial_teardown_moves_interrupts_to_the_cpu_that_stays() {
    const ROUTES_DIFFER: &str = "GICD_IROUTER<n>       0x0                0x1 ";
    let run = |skipped: &str| {
        let mut machine = machine_with("cortex-a57", false, 4);
        machine.baton = format!("teardown=serial skip-steps={skipped}");
        boot(&machine, &probe::guest("test=audit"), 120)
    };
    let moved = run(steps::SPIS);
    moved.expect("probe: FAIL audit: ");
    moved.expect("probe: spis              GICD_IROUTER<n> ");
    moved.expect_no(ROUTES_DIFFER);
    run("spis,interrupt-routes").expect(ROUTES_DIFFER);
}

#[test]
fn no_interrupt_is_routed_to_a_cpu_that_is_off() {
    for its in [false, true] {
        let boot = boot(
            &machine_with("cortex-a57", its, 8),
            &probe::guest("test=routes"),
            120,
        );
        boot.expect("probe: PASS");
        boot.expect_end();
    }
}

/// Linux with all it uses, its kexec by the hooks, and the probe as the next kernel.
#[track_caller]
fn after_linux(baton: &str) -> Boot {
    let mut machine = machine_with("cortex-a57", true, 4);
    machine.baton = baton.to_owned();
    machine.disks = vec![Disk::kernels(paths::probe())];
    let boot = boot(&machine, &Task::Audit.guest(""), 240);
    boot.expect(kexec::STARTING);
    boot.expect_end();
    boot
}

#[test]
fn finds_nothing_after_linux() {
    let boot = after_linux("");
    boot.expect_no(kexec::BYE);
    boot.expect("probe: PASS");
    boot.expect_no("DIFFERS");
}

#[test]
fn finds_what_linux_leaves_by_itself() {
    let boot = after_linux("hooks=off");
    boot.expect(kexec::BYE);
    boot.expect("probe: FAIL audit: ");
    if rows(&boot, "audit", steps::LPIS) == 0 {
        boot.fail("expected LPIs that Linux has left on, seen none");
    }
}
