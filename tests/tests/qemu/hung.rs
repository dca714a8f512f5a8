// SPDX-License-Identifier: Apache-2.0
//! Debian's kernel panics while other CPUs spin with all interrupts masked, each with a mark in a register.

use crate::crash::{KEXECKED, boot_debugged, expect_hung, expect_notes, expect_panics_carried};
use baton_qemu::hang::{MASKED, Waiting, mark};
use baton_qemu::{Disk, linux, paths};
use baton_tests::debugger::Debugger;
use baton_tests::{Boot, Scratch, machine};
use std::time::Instant;

/// What the machine's clock is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// The host's.
    Time,
    /// An instruction takes 4 ns.
    Instructions,
}

/// Since when CPUs hang.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Since {
    /// Seconds before the panic.
    Long,
    /// One turn of their loops before the panic leaves for the crash kernel, which ends with that.
    Panic,
}

/// CPU 0 of `smp` panics while CPUs 1 to `hung` spin.
#[track_caller]
fn run_hung(smp: u32, hung: u32, since: Since, clock: Clock, seconds: u64) -> Boot {
    let scratch = Scratch::new(&format!("hung-{smp}-{hung}"));
    let cpus = 1..hung + 1;
    let mut place = 0;
    let start = Instant::now();
    let mut machine = machine(smp);
    if clock == Clock::Instructions {
        machine.qemu = paths::qemu_10().display().to_string();
        machine
            .extra
            .extend(["-icount", "shift=2,sleep=off"].map(str::to_owned));
    }
    // What a kexec of the crash kernel's own finds does not depend on how many hung.
    let (append, kexecs) = match since {
        Since::Long => ("", 1),
        Since::Panic => ("baton.last=poweroff", 0),
    };
    let boot = boot_debugged(
        machine,
        append,
        &scratch,
        seconds,
        |debugger, waiting, _| {
            place = match since {
                Since::Long => debugger.hang(smp, cpus.clone(), waiting.stext),
                Since::Panic => debugger.hang_in_panic(smp, cpus.clone(), waiting),
            };
        },
    );
    println!(
        "{smp} vCPUs, {hung} hung: {:.0} s",
        start.elapsed().as_secs_f64()
    );
    boot.expect_ok(linux::check(&boot, 1 + kexecs, smp));
    expect_panics_carried(&boot, 1);
    if kexecs > 0 {
        boot.expect(KEXECKED);
    }
    expect_notes(&boot, smp, 0, 0);
    expect_hung(&boot, place, cpus);
    boot
}

#[test]
fn hung_cpus_are_taken() {
    run_hung(4, 3, Since::Long, Clock::Time, 600);
}

/// By the monitor's report, from the call that a panic makes to the crash kernel's first instruction.
#[test]
#[ignore = "long: make test-long"]
fn a_hung_cpu_adds_less_than_5_ms() {
    const SMP: u32 = 4;
    let away = |hung| {
        let boot = run_hung(SMP, hung, Since::Long, Clock::Instructions, 900);
        let entered = us_in(
            &boot,
            "baton: generation 1: entered ",
            " us after __crash_kexec()",
        );
        let gathered = us_in(&boot, "guest: tree: all CPUs gathered ", " us");
        println!(
            "{hung} of {SMP} CPUs hung: gathered after {gathered} us, crash kernel after {entered} us"
        );
        entered
    };
    let away: Vec<f64> = (0..SMP).map(away).collect();
    for (hung, pair) in (1..).zip(away.windows(2)) {
        let added = pair[1] - pair[0];
        assert!(
            added < 5000.0,
            "expected less than 5000 us for hung CPU {hung}, seen {added:.1} of {away:.1?}"
        );
    }
}

/// The microseconds between `before` and `after` in the first line that has the former.
#[track_caller]
fn us_in(boot: &Boot, before: &str, after: &str) -> f64 {
    let line = boot.expect(before);
    let words = line
        .split_once(before)
        .and_then(|(_, rest)| rest.split_once(after));
    match words.and_then(|(us, _)| us.trim().parse().ok()) {
        Some(us) => us,
        None => boot.fail(format_args!("expected microseconds, seen \"{line}\"")),
    }
}

#[track_caller]
fn hang_of_80(hung: u32) {
    run_hung(80, hung, Since::Panic, Clock::Time, 1800);
}

#[test]
#[ignore = "80 vCPUs"]
fn no_cpu_of_80_hangs() {
    hang_of_80(0);
}

#[test]
#[ignore = "80 vCPUs"]
fn one_cpu_of_80_hangs() {
    hang_of_80(1);
}

#[test]
#[ignore = "80 vCPUs"]
fn half_of_80_cpus_hang() {
    hang_of_80(40);
}

#[test]
#[ignore = "80 vCPUs"]
fn all_of_80_cpus_but_one_hang() {
    hang_of_80(79);
}

/// The crash kernel asks the monitor for the registers, and the monitor's report has them.
#[test]
fn the_monitor_tells_registers_of_hung_cpus() {
    const SMP: u32 = 4;
    let scratch = Scratch::new("hung-probe");
    let mut machine = machine(SMP);
    machine.disks = vec![Disk::kernels(paths::probe())];
    let mut place = 0;
    let act = |debugger: &mut Debugger, waiting: Waiting, _: &[String]| {
        place = debugger.hang(SMP, 1..SMP, waiting.stext);
    };
    let boot = boot_debugged(machine, "baton.crash=probe", &scratch, 600, act);
    boot.expect("probe: PASS");
    for cpu in 1..SMP {
        let mark = mark(cpu);
        let line = boot.expect(&format!(
            "probe: registers: cpu {cpu}: 1, pc {place:016x}, pstate {MASKED:016x}, "
        ));
        if !line.contains(&format!("x19 {mark:016x}")) {
            boot.fail(format_args!("expected {mark:#x} in x19, seen {line}"));
        }
    }
}
