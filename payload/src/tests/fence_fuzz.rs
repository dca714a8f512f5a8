// SPDX-License-Identifier: Apache-2.0
//! `test=fence-fuzz`: all CPUs store at random to the registers of an SMMU, to its stream table, its queue and its
//! context descriptors, `calls=` times each, while a device is aimed at the monitor's memory.

use super::fence;
use crate::console::say;
use crate::context::Context;
use crate::cpu::Cpu;
use crate::mmio::{read32, write32, write64};
use crate::outcome::{Outcome, ensure};
use crate::pattern;
use crate::smmu::Smmu;
use crate::time::{TIMEOUT_MS, wait_until};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

/// The registers, the probe's memory for them, the monitor's memory, and how often.
static REGISTERS: AtomicU64 = AtomicU64::new(0);
static MEMORY: AtomicU64 = AtomicU64::new(0);
static MONITOR: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Registers that lead somewhere, or turn something on.
const OFFSETS: [u64; 16] = [
    0x20, 0x20, 0x24, 0x28, 0x2c, 0x44, 0x50, 0x64, 0x68, 0x80, 0x88, 0x90, 0x98, 0x98, 0x9c, 0xa0,
];
/// How many bytes of the probe's memory are table, descriptors and queues.
const SIZE: u64 = 64 << 10;
/// Opcodes that there are.
const OPCODES: [u64; 16] = [
    0x01, 0x03, 0x03, 0x04, 0x05, 0x06, 0x10, 0x11, 0x12, 0x13, 0x20, 0x28, 0x2a, 0x30, 0x40, 0x46,
];

/// Runs on all CPUs.
pub fn run(context: &Context) -> Outcome {
    let machine = context.machine;
    let (edu, base, monitor) = fence::device(context)?;
    let smmu = Smmu::set_up(base, context.arena, machine)?;
    REGISTERS.store(base, Relaxed);
    MEMORY.store(smmu.memory(), Relaxed);
    MONITOR.store(monitor, Relaxed);
    CALLS.store(context.options.calls, Relaxed);
    let cpus = context.cpus;
    cpus.bring_up(cpus.others())?;
    for cpu in cpus.others() {
        cpu.start(fuzz, context.options.seed);
    }
    let finished = || cpus.others().all(|cpu| cpu.result().is_some());
    let mut aimed = 0;
    while !finished() {
        // Each at another place.
        edu.start(monitor + 0x1000 + 8 * aimed, 8);
        edu.wait()?;
        aimed += 1;
    }
    let all = wait_until(TIMEOUT_MS, finished);
    ensure!(all, "expected all CPUs to end, seen some that did not");
    // It can be set up again.
    smmu.turn_off()?;
    Smmu::set_up(base, context.arena, machine)?;
    say!("a device was aimed at the monitor {aimed} times");
    Ok(())
}

/// A job: stores at random.
fn fuzz(cpu: &'static Cpu, seed: u64) -> u64 {
    let (base, memory) = (REGISTERS.load(Relaxed), MEMORY.load(Relaxed));
    let mut state = seed ^ (cpu.place() as u64) << 32;
    let mut next = |bound: u64| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        pattern::mix(state) % bound
    };
    for _ in 0..CALLS.load(Relaxed) {
        let value = match next(8) {
            0 => MONITOR.load(Relaxed) + next(1 << 20),
            1..4 => memory + next(SIZE),
            4 => next(64),
            5 => 1 | next(8) << 1 | (memory + 64 * next(1024)),
            6 => OPCODES[next(16) as usize] | next(256) << 32,
            _ => next(u64::MAX),
        };
        match next(4) {
            0 => {
                let offset = match next(8) {
                    0 => next(0x4000) * 4,
                    _ => OFFSETS[next(16) as usize],
                };
                // Otherwise it is off most of the time.
                let value = if offset == 0x20 && next(4) != 0 {
                    0xd
                } else {
                    value
                };
                if next(2) == 0 && offset.is_multiple_of(8) {
                    write64(base + offset, value);
                } else {
                    write32(base + offset, value as u32);
                }
            }
            1 => {
                // A few commands more, or an error acknowledged.
                let place = read32(base + 0x98).wrapping_add(next(4) as u32);
                write32(base + 0x98, place);
                write32(base + 0x64, read32(base + 0x60));
            }
            _ => write64(memory + 8 * next(SIZE / 8), value),
        }
    }
    0
}
