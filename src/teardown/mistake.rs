//! Mistakes of the monitor's own, made on purpose: each must end in a line and a reset.

use crate::cpu::Cpu;
use crate::machine::Machine;
use crate::options::Mistake;
use alloc::boxed::Box;
use core::hint::black_box;

/// Makes the mistake that the command line asks for, if `cpu` is the one to make it.
pub fn make(cpu: &Cpu) {
    match Machine::get().options.mistake {
        Some((Mistake::Stack, index)) if index == cpu.index => {
            black_box(overflow(0));
        }
        Some((Mistake::Heap, index)) if index == cpu.index => {
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
