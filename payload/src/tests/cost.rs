// SPDX-License-Identifier: Apache-2.0
//! `test=cost`: what exits cost. `calls=` times each: a call that returns at once, an LPI by an INT command,
//! and a batch of many ITS commands. It runs without the monitor too. `make bench-idle` reads the lines: under
//! `-icount shift=0` a nanosecond is an instruction.

use crate::audit::its::Its;
use crate::console::say;
use crate::context::Context;
use crate::outcome::{Outcome, expect, fail};
use crate::{call, gic, time};
use core::hint::black_box;
use smccc::arch::SMCCC_VERSION;

/// Commands in a batch that makes no interrupt.
const BATCH: usize = 16;

/// Measures, a line for each.
pub fn run(context: &Context) -> Outcome {
    let times = context.options.calls;
    let Some(gic) = &context.machine.gic else {
        fail!("expected a GIC, seen none")
    };
    let Some(base) = gic.its else {
        fail!("expected an ITS, seen none")
    };
    let cpu = context.cpus.boot;
    let alone = core::slice::from_ref(cpu);
    gic::init(gic, alone)?;
    expect("redistributor wakes up", 0, gic::enable(cpu, 0))?;
    let mut its = Its::set_up(base, context.arena, alone)?;
    let lpi = Its::lpi(cpu.place());

    let conduit = call::psci_conduit();
    // At a kernel's first call the monitor looks for what it is.
    call::bare(conduit, SMCCC_VERSION);
    measure("call", times, || {
        black_box(call::bare(conduit, SMCCC_VERSION));
        Ok(())
    })?;
    measure("lpi", times, || {
        its.fire(cpu)?;
        expect("LPI", lpi, gic::take().unwrap_or(0).into())
    })?;
    measure("batch", times, || its.sync(cpu, BATCH))
}

/// Does `what` so many times, and says how long it took.
pub(super) fn measure(name: &str, times: u64, mut what: impl FnMut() -> Outcome) -> Outcome {
    let start = time::now();
    for _ in 0..times {
        what()?;
    }
    let ticks = time::now() - start;
    let nanoseconds = u128::from(ticks) * 1_000_000_000 / u128::from(time::frequency());
    say!("cost: {name}: {times} times in {nanoseconds} ns");
    Ok(())
}
