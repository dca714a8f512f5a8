// SPDX-License-Identifier: Apache-2.0
//! What the other files show of the monitor, where UEFI firmware has started it, on a machine described by ACPI
//! alone: the probe is the loader that firmware's boot services end with.

use crate::probe::run_on;
use baton_tests::{Scratch, uefi_machine};

#[test]
fn reboots() {
    let scratch = Scratch::new("uefi-probe");
    run_on(&uefi_machine(4, &scratch), "test=kexec generations=3", 120);
}
