// SPDX-License-Identifier: Apache-2.0
//! `SYSTEM_SUSPEND`.

use super::power::turn_off;
use crate::call::{code, psci};
use crate::console::say;
use crate::context::Context;
use crate::cpu;
use crate::exception::{Fault, attempt};
use crate::outcome::{Outcome, ensure, expect, fail};
use crate::{arrival, gic, image, time};
use core::sync::atomic::Ordering::Relaxed;
use smccc::psci::{PSCI_FEATURES, PSCI_SYSTEM_SUSPEND_64};

/// How long the machine sleeps until the boot CPU's timer fires, in milliseconds.
const SLEEP: u64 = 5;

/// What [`suspend`] returns if the CPU came back through the entry that it gave.
const CAME_BACK: i64 = 1;

/// Makes the `SYSTEM_SUSPEND` of this function id. If the CPU comes back through its entry, what it was
/// entered with is its `entry_state`.
fn suspend(id: u32) -> Outcome<i64> {
    let this = cpu::current();
    this.fault_esr.store(0, Relaxed);
    let context = &raw const *this as u64;
    match attempt(|| psci(id, [image::resume_entry(), context, 0])) {
        Ok(code) => Ok(code),
        Err(Fault { esr: 0, .. }) => Ok(CAME_BACK),
        Err(fault) => fail!("SYSTEM_SUSPEND: expected no exception, seen {fault:x?}"),
    }
}

/// Suspends the machine until the boot CPU's timer fires.
pub fn run(context: &Context) -> Outcome {
    let id = PSCI_SYSTEM_SUSPEND_64;
    if psci(PSCI_FEATURES, [id.into(), 0, 0]) == code::NOT_SUPPORTED {
        say!("psci: SYSTEM_SUSPEND is not offered");
        return expect("SYSTEM_SUSPEND", code::NOT_SUPPORTED, suspend(id)?);
    }
    let boot = context.cpus.boot;
    if context.cpus.others().next().is_some() {
        let seen = suspend(id)?;
        expect("SYSTEM_SUSPEND with CPUs that are on", code::DENIED, seen)?;
    }
    for cpu in context.cpus.others() {
        turn_off(cpu)?;
    }
    let (monitor, _) = context.machine.monitor().unwrap_or_default();
    let seen = psci(id, [monitor, 0, 0]);
    expect("entry in the monitor", code::INVALID_ADDRESS, seen)?;
    gic::enable(boot, 0);
    let start = time::now();
    gic::start_timer(SLEEP);
    let seen = suspend(id)?;
    let slept = time::now() - start;
    gic::stop_timer();
    time::init_event_stream();
    expect("SYSTEM_SUSPEND", CAME_BACK, seen)?;
    ensure!(
        slept >= time::ticks(SLEEP),
        "SYSTEM_SUSPEND: expected to last {SLEEP} ms, seen {} us",
        time::microseconds(slept)
    );
    arrival::check_entry_state(boot, boot.entry_state.get())?;
    context.cpus.bring_up(context.cpus.others())
}
