// SPDX-License-Identifier: Apache-2.0
//! Hostile guests, which attack the monitor with all their CPUs at once.

use baton_qemu::Machine;
use baton_tests::{Boot, boot_and_look, machine, number};

/// The monitor must have reported no error of its own, and not have panicked.
#[track_caller]
fn expect_no_monitor_error(boot: &Boot) {
    boot.expect_no("baton: error: ");
    boot.expect_no("panicked at");
}

/// Tables in the monitor's memory, in devices and beyond all memory, on every redistributor.
#[test]
fn the_gic_takes_no_table_outside_guest_memory() {
    gic_takes_no_table_on("gic-tables", machine(4));
}

#[track_caller]
pub fn gic_takes_no_table_on(name: &str, machine: Machine) {
    // At any other level the console shows no more than 16 refusals of a CPU.
    let machine = Machine {
        baton: "log=trace".to_owned(),
        ..machine
    };
    let boot = boot_and_look(name, &machine, "test=gic-tables", 90);
    boot.expect("to GICR_CTLR: the table of 0xe000 bytes at 0x");
    boot.expect("to GICR_PENDBASER: the tables are in use; it is dropped");
    boot.expect("to GITS_CTLR: the table of 0x2000 bytes at 0x");
    boot.expect("no table of the ITS has two levels");
    boot.expect("the ITS works with 4 interrupts in the guest's own tables");
    expect_no_monitor_error(&boot);
}

/// `SEED=` and `CALLS=` (each CPU's) repeat a run, or make it longer.
#[test]
fn nothing_that_a_guest_tries_stops_the_monitor() {
    nothing_stops_the_monitor_on("fuzz", &machine(4));
}

#[track_caller]
pub fn nothing_stops_the_monitor_on(name: &str, machine: &Machine) {
    let (seed, calls) = (number("SEED", 1), number("CALLS", 100_000));
    let append = format!("test=fuzz seed={seed} calls={calls}");
    let seconds = 120 + calls / 1000;
    let boot = boot_and_look(name, machine, &append, seconds);
    expect_no_monitor_error(&boot);
}

/// `TIMES=` takeovers. The CPUs that change the list are stopped before it is looked at: it never differs
/// between the check and the copy, which would end in a reset.
#[test]
fn a_list_that_changes_harms_nobody() {
    let (seed, times) = (number("SEED", 1), number("TIMES", 40));
    let machine = Machine {
        end_on_reset: false,
        ..machine(3)
    };
    let append = format!("test=flip seed={seed} generations={times}");
    let boot = boot_and_look("flip", &machine, &append, 60 + 10 * times);
    boot.expect_no("the kexec list changed");
    let last = boot.all("probe: flip: ").last();
    let counts: Vec<u64> = last.map_or(Vec::new(), |line| {
        let words = line.text.split([' ', ',']);
        words.filter_map(|word| word.parse().ok()).collect()
    });
    match counts[..] {
        [refused, taken, 0] if refused > 0 && taken >= times => {}
        _ => boot.fail("expected lists that are refused and lists that are taken, and no reset"),
    }
}
