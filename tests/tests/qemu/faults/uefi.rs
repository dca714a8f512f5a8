// SPDX-License-Identifier: Apache-2.0
//! One fault of each kind on a machine that UEFI firmware has started, and ACPI describes.

use super::SMP;
use super::debugged::Debugged;
use super::{firmware, lost, panics, requests, states};
use baton_tests::{Scratch, uefi_machine};

#[test]
fn spinning_with_interrupts_masked_by_uefi() {
    let scratch = Scratch::new("uefi-masked");
    states::all_arrive_on(&uefi_machine(SMP, &scratch), "masked-loop");
}

#[test]
fn asked_for_twice_by_uefi() {
    let scratch = Scratch::new("uefi-twice");
    requests::asked_for_twice_on(&uefi_machine(SMP, &scratch));
}

#[test]
fn held_by_a_debugger_and_let_go_by_uefi() {
    lost::held_and_let_go(Debugged::by_uefi("uefi-let-go"));
}

#[test]
fn firmware_refuses_cpu_on_by_uefi() {
    firmware::refuses_cpu_on(Debugged::by_uefi("uefi-refused"));
}

#[test]
fn a_panic_resets_the_machine_by_uefi() {
    panics::resets_the_machine(|| Debugged::by_uefi("uefi-panic"));
}
