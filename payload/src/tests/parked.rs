// SPDX-License-Identifier: Apache-2.0
//! `test=parked`: CPUs that stay off go back to firmware after a while, and CPU_ON has them come at any
//! moment of that.
//!
//! The monitor's command line has `park=20`, and firmware is `tests/firmware`.

use super::psci::power::turn_off;
use crate::call::{self, code};
use crate::console::say;
use crate::context::Context;
use crate::cpu::Cpu;
use crate::cpus::wait_for;
use crate::outcome::{Outcome, ensure, expect, fail};
use crate::{arrival, kexec, time};

/// How long a CPU waits in the monitor, in milliseconds.
const PARK_MS: u64 = 20;
/// How often a CPU is turned on at about the time that it leaves.
const ROUNDS: u64 = 400;
/// CPU_ON comes from so long before that time to as long after it, in microseconds.
const AROUND_US: u64 = 5_000;
/// AFFINITY_INFO of `tests/firmware` itself.
const AFFINITY_INFO_HERE: u32 = 0xc200_0004;

/// Has CPUs go back in each generation, and reboots without them.
pub fn run(context: &Context) -> Outcome {
    let cpus = context.cpus;
    match context.generation {
        0 => cpus.bring_up(cpus.others())?,
        _ => {
            // The takeover has parked them, and this kernel wants none for long.
            expect_to_leave(cpus.others())?;
            say!(
                "parked: {} CPUs went back to firmware",
                cpus.others().count()
            );
            arrival::check(context)?;
        }
    }
    if context.generation >= context.options.generations {
        return Ok(());
    }
    let Some(cpu) = cpus.others().next() else {
        fail!("expected two CPUs, seen one")
    };
    leaves_and_comes_back(context, cpu)?;
    comes_while_it_leaves(context, cpu)?;
    turn_off(cpu)?;
    expect_to_leave([cpu].into_iter())?;
    kexec::prepare(context, cpus.boot, 0)?.go()
}

/// A CPU leaves when its time is over, and not before.
fn leaves_and_comes_back(context: &Context, cpu: &'static Cpu) -> Outcome {
    let begin = time::now();
    turn_off(cpu)?;
    expect_to_leave([cpu].into_iter())?;
    let waited = time::microseconds(time::now() - begin);
    ensure!(
        waited >= PARK_MS * 1000,
        "expected CPU {:#x} to be parked for {PARK_MS} ms, seen it leave after {waited} us",
        cpu.mpidr()
    );
    expect("AFFINITY_INFO", code::AFFINITY_OFF, cpu.affinity_info())?;
    context.cpus.bring_up([cpu].into_iter())?;
    arrival::check_entry_state(cpu, cpu.entry_state.get())
}

/// CPU_ON succeeds at each moment: before the CPU leaves, while it does, and after it has.
fn comes_while_it_leaves(context: &Context, cpu: &'static Cpu) -> Outcome {
    let mut left = 0;
    for round in 0..ROUNDS {
        let begin = time::now();
        turn_off(cpu)?;
        let us = PARK_MS * 1000 - AROUND_US + round * 2 * AROUND_US / ROUNDS;
        while time::microseconds(time::now() - begin) < us {}
        left += u64::from(state_in_firmware(cpu) == code::AFFINITY_OFF);
        context.cpus.bring_up([cpu].into_iter())?;
    }
    say!("parked: {ROUNDS} times turned on, {left} of them from firmware");
    ensure!(
        (1..ROUNDS).contains(&left),
        "expected it to have left some of {ROUNDS} times, seen {left}"
    );
    Ok(())
}

fn expect_to_leave(cpus: impl Iterator<Item = &'static Cpu>) -> Outcome {
    wait_for(cpus, "to be off in firmware", |cpu| {
        state_in_firmware(cpu) == code::AFFINITY_OFF
    })
}

fn state_in_firmware(cpu: &Cpu) -> i64 {
    call::psci(AFFINITY_INFO_HERE, [cpu.mpidr(), 0, 0])
}
