// SPDX-License-Identifier: Apache-2.0
//! Firmware at EL3 that keeps features to itself which the CPU's ID registers show (`tests/firmware`).

use crate::el3::{TELLS_FEATURES, boot_with_traps, set_command_line};
use crate::probe;
use baton_qemu::Machine;
use baton_tests::{Boot, machine};
use std::array;

const SMP: u32 = 2;

/// A feature of QEMU's CPU `max` by its name in `no=`, and the bits of `SCR_EL3`, `CPTR_EL3` and `MDCR_EL3`
/// that are then other than where nothing traps.
const KEPT: [(&str, [u64; 3]); 5] = [
    // HXEn.
    ("hcx", [1 << 38, 0, 0]),
    // EZ.
    ("sve", [0, 1 << 8, 0]),
    // ESM; EnTP2.
    ("sme", [1 << 41, 1 << 12, 0]),
    // API, APK.
    ("pauth", [3 << 16, 0, 0]),
    // TPM.
    ("pmu", [0, 0, 1 << 6]),
];

/// Boots the probe on that CPU above such firmware, with this command line of the monitor's.
#[track_caller]
fn boot(traps: [u64; 3], firmware: u32, baton: &str) -> Boot {
    let machine = Machine {
        cpu: "max".into(),
        ..machine(SMP)
    };
    let guest = probe::guest("test=queries");
    boot_with_traps(&machine, &guest, firmware, traps, 60, |tree| {
        set_command_line(tree, baton);
    })
}

#[track_caller]
fn expect_good(boot: &Boot) {
    boot.expect("probe: PASS");
    boot.expect_no("firmware: ");
    boot.expect_no("baton: warning: ");
    boot.expect_end();
}

/// Where nobody says so, the machine ends at the first touch, behind the line that says what to do.
#[test]
fn the_line_before_the_first_touch_is_the_last() {
    for (name, traps) in KEPT {
        let boot = boot(traps, 0, "");
        let line = boot.expect("firmware must have opened ");
        let features = line.split(" opened ").nth(1).unwrap_or_default();
        if !features.split([',', ':']).any(|feature| feature == name) {
            boot.fail(format_args!("expected {name} among those, seen \"{line}\""));
        }
        boot.expect("firmware: CPU 0: exception to EL3");
        let mut lines = boot.all("baton: ").skip_while(|seen| seen.text != line);
        if let Some(after) = lines.nth(1) {
            boot.fail(format_args!(
                "expected no line of the monitor's behind that, seen \"{}\"",
                after.text
            ));
        }
    }
}

#[test]
fn an_option_leaves_each_alone() {
    for (name, traps) in KEPT {
        let boot = boot(traps, 0, &format!("no={name}"));
        boot.expect(&format!("left alone, as no= or firmware says: {name}"));
        expect_good(&boot);
    }
}

/// SMCCC_ARCH_FEATURE_AVAILABILITY: no option is needed.
#[test]
fn firmware_that_says_what_it_keeps_is_believed() {
    let traps = KEPT.iter().fold([0; 3], |all, (_, traps)| {
        array::from_fn(|register| all[register] | traps[register])
    });
    let boot = boot(traps, TELLS_FEATURES, "");
    let line = boot.expect("left alone, as no= or firmware says: ");
    for (name, _) in KEPT {
        let features = line.rsplit(' ').next().unwrap_or_default();
        if !features.split(',').any(|feature| feature == name) {
            boot.fail(format_args!("expected {name} among those, seen \"{line}\""));
        }
    }
    expect_good(&boot);
}
