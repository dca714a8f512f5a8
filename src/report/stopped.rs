// SPDX-License-Identifier: Apache-2.0
//! The registers of CPUs that a panic has stopped, for the report and for the REGISTERS call.

use crate::machine::Machine;
use crate::machine::caught::REGISTERS;
use crate::machine::cpu::Cpu;
use baton_abi::{DUMP_NONE, ReportRow, StoppedCpu, is_crash};
use core::sync::atomic::Ordering::Relaxed;

/// Returns the registers that the last panic found in `cpu`; `None` if no panic was carried.
pub fn stopped(cpu: &Cpu) -> Option<StoppedCpu> {
    let (dump, registers) = cpu.caught.dump();
    if dump == DUMP_NONE {
        return None;
    }
    let (x, [sp, pc, pstate]) = split(registers.unwrap_or([0; REGISTERS]));
    Some(StoppedCpu {
        mpidr: cpu.mpidr,
        dump,
        x,
        sp,
        pc,
        pstate,
    })
}

/// Returns a row with that of them which the report has, if the last takeover was one after a panic.
pub(super) fn in_row(machine: &Machine, cpu: &Cpu) -> ReportRow {
    let source = machine.takeover.source.load(Relaxed);
    match is_crash(source).then(|| stopped(cpu)).flatten() {
        Some(stopped) => ReportRow {
            dump: stopped.dump,
            pc: stopped.pc,
            sp: stopped.sp,
            lr: stopped.x[30],
            pstate: stopped.pstate,
            ..ReportRow::default()
        },
        None => ReportRow::default(),
    }
}

/// Splits them into x0 to x30, and the rest.
fn split(registers: [u64; REGISTERS]) -> ([u64; 31], [u64; 3]) {
    let (mut x, mut rest) = ([0; 31], [0; 3]);
    for (to, from) in x.iter_mut().chain(&mut rest).zip(registers) {
        *to = from;
    }
    (x, rest)
}
