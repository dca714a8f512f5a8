// SPDX-License-Identifier: Apache-2.0
//! Which errata are worked around is said of each kind of CPU, once.

use crate::probe;
use baton_qemu::Machine;
use baton_tests::{boot, machine};

#[track_caller]
fn says(cpu: &str, expected: &str) {
    let machine = Machine {
        cpu: cpu.to_owned(),
        baton: "log=debug".to_owned(),
        ..machine(2)
    };
    let boot = boot(&machine, &probe::guest("test=kexec generations=2"), 120);
    boot.expect("probe: PASS");
    boot.expect_end();
    let lines = boot.lines.iter().map(|line| &line.text);
    let seen: Vec<_> = lines.filter(|text| text.contains("errata")).collect();
    let line = format!("baton: debug: cpu 0: MIDR_EL1 {expected}");
    assert_eq!(
        seen,
        [&line],
        "of {cpu}, once for two CPUs and two generations"
    );
}

#[test]
fn of_cortex_a53_r0p4() {
    says(
        "cortex-a53",
        "0x410fd034, errata worked around: 855873, 835769, 843419",
    );
}

#[test]
fn of_cortex_a72_r0p3() {
    says("cortex-a72", "0x410fd083, errata worked around: 1319367");
}

#[test]
fn of_neoverse_n1_r4p1() {
    says(
        "neoverse-n1",
        "0x414fd0c1, errata worked around: 1542419, 4193800",
    );
}
