// SPDX-License-Identifier: Apache-2.0
//! `test=left-out`: a CPU that the machine has and the guest is not offered stays off.

use crate::call::{code, psci};
use crate::console::say;
use crate::context::Context;
use crate::image::secondary_entry;
use crate::outcome::{Outcome, ensure, expect};
use smccc::psci::{PSCI_AFFINITY_INFO_64, PSCI_CPU_ON_64};

/// Asks for the CPU behind the last one of the tree, which the monitor must not know.
pub fn run(context: &Context) -> Outcome {
    let mpidr = context.cpus.all.len() as u64;
    ensure!(
        context.cpus.all.iter().all(|cpu| cpu.mpidr() < mpidr),
        "expected CPUs 0 to {mpidr:#x} in the tree, but for the last, seen others"
    );
    let seen = psci(PSCI_CPU_ON_64, [mpidr, secondary_entry(), 0]);
    say!("left out: CPU_ON of CPU {mpidr:#x}: {seen}");
    expect(
        "CPU_ON of a CPU that is left out",
        code::INVALID_PARAMETERS,
        seen,
    )?;
    let seen = psci(PSCI_AFFINITY_INFO_64, [mpidr, 0, 0]);
    expect("AFFINITY_INFO of it", code::INVALID_PARAMETERS, seen)
}
