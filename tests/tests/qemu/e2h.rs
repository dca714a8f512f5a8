// SPDX-License-Identifier: Apache-2.0
//! A CPU that keeps `HCR_EL2.E2H`, which no QEMU has: a debugger answers in its place.

use crate::probe;
use baton_tests::debugger::{Beginning, Monitor, PC};
use baton_tests::{Scratch, boot_observed, machine};
use std::thread;

/// `HCR_EL2.E2H`.
const E2H: u64 = 1 << 34;
/// Number of the link register, and of the one that `clear_e2h` returns its answer in.
const LR: u32 = 30;
const X1: u32 = 1;

#[test]
fn is_refused_by_name_before_the_mmu_is_on() {
    let scratch = Scratch::new("e2h");
    let mut machine = machine(1);
    let beginning = Beginning::add(&mut machine, &scratch);
    let debugger = thread::spawn(move || {
        let mut debugger = beginning.accept();
        let asked = Monitor::loaded().function("clear_e2h");
        for answers in [false, true] {
            let place = match answers {
                false => asked,
                true => debugger.register(0, LR),
            };
            debugger.break_at(place);
            debugger.go_on_without(1, &[]);
            debugger.wait();
            assert_eq!(debugger.register(0, PC), place, "where the CPU stopped");
            debugger.do_not_break_at(place);
        }
        debugger.set_register(0, X1, E2H);
        debugger.go_on_without(1, &[]);
        debugger
    });
    let boot = boot_observed(&machine, &probe::guest("test=queries"), 60, |_| ());
    if debugger.join().is_err() {
        boot.fail(format_args!(
            "expected the CPU at clear_e2h, seen it elsewhere"
        ));
    }
    boot.expect("baton: error: this CPU cannot clear HCR_EL2.E2H (ID_AA64MMFR4_EL1 0x0)");
    boot.expect_no("probe: ");
    boot.expect_end();
}
