// SPDX-License-Identifier: Apache-2.0
//! Faults of the monitor's own, caused on purpose: each must end in a line and a reset.

use crate::machine::cpu::Cpu;
use alloc::boxed::Box;
use baton_core::options::FaultInjection;
use core::hint::black_box;

/// Causes the fault that the command line asks for, if `cpu` is the CPU, by index, that it names.
pub fn inject(fault: Option<(FaultInjection, usize)>, cpu: &Cpu) {
    match fault {
        Some((FaultInjection::Stack, index)) if index == cpu.index => {
            black_box(overflow(0));
        }
        Some((FaultInjection::Heap, index)) if index == cpu.index => {
            black_box(Box::new(cpu.index));
        }
        _ => {}
    }
}

/// Calls itself until there is no stack left.
#[inline(never)]
fn overflow(depth: u64) -> u64 {
    let filled = black_box([depth; 32]);
    if depth == u64::MAX {
        return 0;
    }
    overflow(depth + 1) + filled[31]
}
