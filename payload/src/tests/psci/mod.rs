// SPDX-License-Identifier: Apache-2.0
//! `test=psci`: PSCI as the guest sees it, held against the specification (DEN0022, 1.1).
//!
//! What only the monitor answers as the specification says is left out without it.

mod functions;
pub mod power;
mod suspend;
mod system_suspend;
mod vendor;

use crate::console::say;
use crate::context::Context;
use crate::monitor;
use crate::outcome::{Failure, Outcome};

/// A part of the test.
struct Part {
    name: &'static str,
    run: fn(&Context) -> Outcome,
    /// It is about the monitor, or about what QEMU's own PSCI does otherwise.
    monitor_only: bool,
}

const fn part(name: &'static str, run: fn(&Context) -> Outcome) -> Part {
    Part {
        name,
        run,
        monitor_only: false,
    }
}

const fn monitor_part(name: &'static str, run: fn(&Context) -> Outcome) -> Part {
    Part {
        name,
        run,
        monitor_only: true,
    }
}

static PARTS: &[Part] = &[
    part("version", functions::version),
    part("features", functions::features),
    part("affinity info", functions::affinity_info),
    part("unknown functions", functions::unknown),
    monitor_part("SMCCC", functions::smccc),
    monitor_part("workarounds", functions::workarounds),
    monitor_part("conduits", functions::conduits),
    monitor_part("registers kept", functions::registers_kept),
    monitor_part("vendor calls", vendor::calls),
    part("all on", power::all_on),
    part("CPU_ON refused", power::refused),
    monitor_part("CPU_ON with a wrong entry", power::wrong_entry),
    monitor_part("CPU_ON raced", power::raced),
    part("off and on, one by one", power::one_by_one),
    part("off and on, all at once", power::all_at_once),
    monitor_part("CPU_SUSPEND refused", suspend::refused),
    part("standby woken by the timer", suspend::standby_timer),
    part("standby woken by an SGI", suspend::standby_sgi),
    part("power-down woken by the timer", suspend::power_down),
    part("SYSTEM_SUSPEND", system_suspend::run),
];

/// Runs all parts that fit, and fails with the first failure that there was.
pub fn run(context: &Context) -> Outcome {
    let monitor = monitor::is_there();
    let mut outcome = Ok(());
    for part in PARTS {
        if part.monitor_only && !monitor {
            say!("psci: {}: left out, this is not the monitor", part.name);
            continue;
        }
        match (part.run)(context) {
            Ok(()) => say!("psci: {}: good", part.name),
            Err(failure) => {
                say!("psci: {}: bad: {failure}", part.name);
                outcome = outcome.and(Err(Failure::new(format_args!(
                    "psci: {}: {failure}",
                    part.name
                ))));
            }
        }
    }
    outcome
}
