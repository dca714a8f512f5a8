// SPDX-License-Identifier: Apache-2.0
//! `test=registers`: the crash kernel of a Linux that has panicked, which asks for the registers of all CPUs.

use crate::call::{self, code};
use crate::console::say;
use crate::context::Context;
use crate::monitor;
use crate::outcome::{Outcome, expect, fail};
use baton_abi::{REGISTERS, StoppedCpu};
use zerocopy::FromBytes;

/// Bytes that the call writes.
const SIZE: u64 = size_of::<StoppedCpu>() as u64;

/// Says them for each CPU, and what is refused.
pub fn run(context: &Context) -> Outcome {
    let buffer = context.arena.report();
    let count = context.cpus.all.len() as u64;
    for (cpu, index) in context.cpus.all.iter().zip(0..) {
        let size = call::vendor(REGISTERS, [buffer, SIZE, index]);
        expect("bytes of REGISTERS", SIZE as i64, size)?;
        // SAFETY: the room for a report is the arena's, and the monitor has written so much of it.
        let bytes = unsafe { core::slice::from_raw_parts(buffer as *const u8, SIZE as usize) };
        let Ok(stopped) = StoppedCpu::read_from_bytes(bytes) else {
            fail!("expected {SIZE} bytes of registers")
        };
        expect("MPIDR of the registers", cpu.mpidr(), stopped.mpidr)?;
        say!(
            "registers: cpu {index}: {}, pc {:016x}, pstate {:016x}, sp {:016x}, x19 {:016x}, x30 {:016x}",
            stopped.dump,
            stopped.pc,
            stopped.pstate,
            stopped.sp,
            stopped.x[19],
            stopped.x[30]
        );
    }
    for (what, arguments, answer) in [
        ("of no CPU", [buffer, SIZE, count], code::INVALID_PARAMETERS),
        (
            "to less than they have",
            [buffer, SIZE - 1, 0],
            code::INVALID_PARAMETERS,
        ),
        (
            "to an odd address",
            [buffer + 4, SIZE, 0],
            code::INVALID_PARAMETERS,
        ),
        (
            "to the monitor",
            [monitor::memory(), SIZE, 0],
            code::INVALID_ADDRESS,
        ),
        ("around 0", [u64::MAX - 7, SIZE, 0], code::INVALID_ADDRESS),
    ] {
        let seen = call::vendor(REGISTERS, arguments);
        expect(format_args!("REGISTERS {what}"), answer, seen)?;
    }
    Ok(())
}
