// SPDX-License-Identifier: Apache-2.0
//! What CPUs, firmware and the monitor itself can be doing when the machine is rebooted, at 80 vCPUs:
//! a test for each, with what the report must say, and the next kernel must run.

mod debugged;
mod firmware;
mod lost;
mod panics;
mod requests;
mod states;
mod uefi;

use baton_tests::Boot;

const SMP: u32 = 80;
const SECONDS: u64 = 300;

/// The generation after the fault must have found its memory and all CPUs, but for `missing` of them.
#[track_caller]
fn expect_next_kernel(boot: &Boot, missing: usize) {
    boot.expect_no("baton: error: ");
    boot.expect_no("probe: FAIL");
    boot.expect("probe: memory content came over");
    boot.expect(&format!("CPUs taken, {missing} missing"));
    boot.expect("probe: PASS");
    boot.expect_end();
}

/// The CPUs that the probe's first generation turns on.
fn started(smp: u32) -> impl Iterator<Item = u32> {
    (0..smp).filter(|cpu| cpu % 8 != 7)
}

/// QEMU's affinity groups have 16 CPUs.
fn mpidr(cpu: u32) -> u32 {
    ((cpu / 16) << 8) | (cpu % 16)
}
